"""Re-speaking a part of a clip while the rest is held."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dubflow.errors import WrongUse
from dubflow.incontext.backbone.text import encode_text
from dubflow.incontext.backbone.video import encode_video
from dubflow.incontext.flow.sampler import noise_like
from dubflow.incontext.inference.sampling import ClipLatents, GuidedText
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.pairs.engine_parts import Span
from dubflow.incontext.pairs.fine_mask import Definition, MaskSettings, latent_lips
from dubflow.incontext.pairs.inpainting import Hold, Remade, inpaint_latents, sound_of
from dubflow.training.seeds import generators
from incontext import samples
from incontext.pairs.engine_room import base
from incontext.pairs.test_masks import patched

SHAPE, TOKENS = (3, 2, 2), 17
BASE = samples.backbone()
HOLDS: tuple[Hold, Hold] = ("clean", "replace")


def known(batch: int = 2) -> ClipLatents:
    source = torch.Generator().manual_seed(2)
    video = torch.randn(batch, 8, *SHAPE, generator=source)
    return ClipLatents(video, torch.randn(batch, TOKENS, 8, generator=source))


def remade(batch: int = 2) -> Remade:
    """Of the first item's last two latent frames one latent, of the second's another; some of the sound."""
    video, audio = torch.zeros(batch, *SHAPE, dtype=torch.bool), torch.zeros(batch, TOKENS, dtype=torch.bool)
    for item in range(batch):
        video[item, 1:, item % 2, 1] = True
        audio[item, 4 + item : 12] = True
    return Remade(video, audio)


def text(batch: int = 2) -> GuidedText:
    said = [f"say {number}" for number in range(batch)]
    return GuidedText(encode_text(BASE, said), encode_text(BASE, ["badly"] * batch))


def settings(**changes: Any) -> InferenceSettings:
    return InferenceSettings.model_validate({"steps": 3, "guidance": 2.0, "first_frame": False} | changes)


def inpainted(hold: Hold = "clean", **changes: Any) -> ClipLatents:
    given = {"known": known(), "remade": remade(), "text": text(), "seeds": [1, 2], **changes}
    return inpaint_latents(
        BASE,
        given["known"],
        given["remade"],
        given["text"],
        given.get("settings", settings()),
        given["seeds"],
        hold=hold,
    )


@pytest.mark.parametrize("hold", HOLDS)
def test_what_is_held_comes_back_to_the_bit_and_the_rest_is_new(hold: Hold) -> None:
    found, given, mask = inpainted(hold), known(), remade()
    for item in range(2):
        free = mask.video[item]
        assert torch.equal(found.video[item][:, ~free], given.video[item][:, ~free])
        assert (found.video[item][:, free] != given.video[item][:, free]).all()
        assert torch.equal(found.audio[item, ~mask.audio[item]], given.audio[item, ~mask.audio[item]])
        assert (found.audio[item, mask.audio[item]] != given.audio[item, mask.audio[item]]).all()


@pytest.mark.parametrize("hold", HOLDS)
def test_what_is_remade_hangs_on_what_is_held_and_not_on_what_it_replaces(hold: Hold) -> None:
    before, mask, given = inpainted(hold), remade(), known()
    hidden = ClipLatents(
        torch.where(mask.video[:, None], given.video + 5, given.video),
        torch.where(mask.audio[..., None], given.audio - 5, given.audio),
    )
    after = inpainted(hold, known=hidden)
    assert torch.equal(before.video, after.video)
    assert torch.equal(before.audio, after.audio)
    shown = ClipLatents(torch.where(mask.video[:, None], given.video, given.video + 0.5), given.audio)
    moved = inpainted(hold, known=shown)
    assert not torch.equal(moved.video[:, :, 1:][mask.video[:, None, 1:].expand(-1, 8, -1, -1, -1)],
                           before.video[:, :, 1:][mask.video[:, None, 1:].expand(-1, 8, -1, -1, -1)])  # fmt: skip
    assert not torch.equal(moved.audio[mask.audio], before.audio[mask.audio])


@pytest.mark.parametrize("hold", HOLDS)
def test_an_item_hangs_on_its_own_seed_and_text_alone(hold: Hold) -> None:
    both = inpainted(hold)
    mask, given, said = remade(), known(), text()
    for item in range(2):
        one = slice(item, item + 1)
        alone = inpainted(
            hold,
            known=ClipLatents(given.video[one], given.audio[one]),
            remade=Remade(mask.video[one], mask.audio[one]),
            text=GuidedText(
                *(type(part)(part.video[one], part.audio[one], part.mask[one]) for part in (said.asked, said.avoided))  # type: ignore[union-attr]
            ),
            seeds=[1 + item],
        )
        assert torch.allclose(alone.video[0], both.video[item], atol=1e-4)
        assert torch.allclose(alone.audio[0], both.audio[item], atol=1e-4)
    assert not torch.equal(inpainted(hold, seeds=[3, 2]).video[0], both.video[0])
    assert torch.allclose(inpainted(hold, seeds=[3, 2]).video[1], both.video[1], atol=1e-4)
    other = inpainted(hold, text=GuidedText(encode_text(BASE, ["say 0", "shout"]), text().avoided))
    assert not torch.allclose(other.audio[1], both.audio[1], atol=1e-6)


@pytest.mark.parametrize("hold", HOLDS)
def test_with_nothing_to_remake_nothing_changes(hold: Hold) -> None:
    none = Remade(torch.zeros(2, *SHAPE, dtype=torch.bool), torch.zeros(2, TOKENS, dtype=torch.bool))
    found = inpainted(hold, remade=none)
    assert torch.equal(found.video, known().video)
    assert torch.equal(found.audio, known().audio)


def test_with_everything_remade_both_ways_to_hold_are_one() -> None:
    all_of_it = Remade(torch.ones(2, *SHAPE, dtype=torch.bool), torch.ones(2, TOKENS, dtype=torch.bool))
    one, other = (inpainted(hold, remade=all_of_it) for hold in HOLDS)
    assert torch.allclose(one.video, other.video, atol=1e-5)
    assert torch.allclose(one.audio, other.audio, atol=1e-5)


def test_a_velocity_of_0_leaves_noise_where_it_is() -> None:
    """What is remade starts from its item's own noise, and what is put back every step does not touch it."""
    given, sources = known(), generators([1, 2])
    noise = noise_like(sources, given.video)
    still = samples.transformer()
    for name in ("proj_out", "audio_proj_out"):
        torch.nn.init.zeros_(getattr(still, name).weight)
        torch.nn.init.zeros_(getattr(still, name).bias)
    found = inpaint_latents(
        replace(BASE, transformer=still), given, remade(), text(), settings(), [1, 2], hold="replace"
    )
    free = remade().video[:, None].expand_as(noise)
    assert torch.allclose(found.video[free], noise[free])


def test_the_sound_of_a_half() -> None:
    first, second = (sound_of(BASE, span, TOKENS, 25) for span in (Span(0, 9), Span(9, 17)))
    # Token n > 0 begins 30 ms before frame n.
    assert first.tolist() == [True] * 10 + [False] * 7
    assert second.tolist() == [False] * 9 + [True] * 8
    assert bool((first | second).all())


def test_masks_of_another_shape_and_guidance_without_text_are_refused() -> None:
    for changes in (
        {"seeds": [1]},
        {"remade": remade(1)},
        {"remade": Remade(remade().video, remade().audio[:, :-1])},
        {"text": GuidedText(text().asked)},
    ):
        with pytest.raises(WrongUse) as refused:
            inpainted(**changes)  # type: ignore[arg-type]
        assert refused.value.code in ("incontext.token_shape", "incontext.no_guidance_text")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("definition", "threshold", "reaches"), [("fine", 0.0, False), ("fine", 0.1, False), ("naive", 0.1, True)]
)
def test_a_green_patch_on_the_lips_does_not_reach_what_is_remade(
    definition: Definition, threshold: float, reaches: bool
) -> None:
    """Paper, B.2: with the fine mask the result is (nearly) that of the clip without the patch; with a naive one the
    patch shines through latents around the lips. At threshold 0 there is no difference at all."""
    frames, green, lips = patched()
    settings_ = MaskSettings(definition=definition, threshold=threshold)
    mask = latent_lips(base(), frames, lips, settings_)
    said = GuidedText(encode_text(base(), ["say it"]))
    made = []
    for shown in (frames, green):
        video = encode_video(base(), shown)[None]
        audio = torch.zeros(1, 17, 8)
        free = Remade(mask[None], torch.ones(1, 17, dtype=torch.bool))
        found = inpaint_latents(base(), ClipLatents(video, audio), free, said, settings(guidance=1.0), [4])
        made.append(found.video)
    apart = (made[0] - made[1]).abs()
    whole = float((encode_video(base(), frames) - encode_video(base(), green)).abs().max())
    if threshold == 0:
        assert float(apart.max()) == 0.0
    assert (float(apart.max()) > 0.5 * whole) is (definition == "naive")
