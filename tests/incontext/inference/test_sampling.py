"""Sampling: one result whichever way it is computed, an item's own noise, held frames held, two stages, steps heard."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.flow.path import noised
from dubflow.incontext.flow.sampler import noise_like
from dubflow.incontext.flow.schedules import fixed_schedule
from dubflow.incontext.inference import sampling
from dubflow.incontext.inference.sampling import ClipLatents, GuidedText, dub_latents, refine_latents, upsampled
from dubflow.incontext.inference.settings import InferenceSettings, RefineSettings
from dubflow.incontext.masks import MaskScheme
from incontext.samples import backbone, text

BASE = InferenceSettings(steps=3)


def changed(**changes: Any) -> InferenceSettings:
    return InferenceSettings.model_validate(BASE.model_dump() | changes)


def clips(batch: int = 2, *, rows: int = 2, seed: int = 0) -> ClipLatents:
    source = torch.Generator().manual_seed(seed)
    return ClipLatents(torch.randn(batch, 8, 3, rows, 2, generator=source), torch.randn(batch, 17, 8, generator=source))


def words(batch: int = 2) -> GuidedText:
    return GuidedText(text(batch=batch), text(batch=batch, seed=9))


def worst(one: ClipLatents, other: ClipLatents) -> float:
    return max(float((one.video - other.video).abs().max()), float((one.audio - other.audio).abs().max()))


def test_every_saving_gives_what_the_plain_loop_gives() -> None:
    plain = changed(reuse=False, batch_guidance=False, masks={"compute": "masked"})
    wanted = dub_latents(backbone(), clips(), words(), plain, (1, 2))
    for settings in (BASE, changed(batch_guidance=False), changed(reuse=False), changed(masks={"compute": "masked"})):
        assert worst(dub_latents(backbone(), clips(), words(), settings, (1, 2)), wanted) < 2e-5
    assert wanted.video.dtype == torch.float32


def test_an_item_is_dubbed_alike_alone_and_in_company() -> None:
    both = dub_latents(backbone(), clips(), words(), BASE, (1, 2))
    source, said = clips(), words()
    assert said.avoided is not None

    def second(one: Any) -> Any:
        return type(one)(one.video[1:], one.audio[1:], one.mask[1:])

    one = GuidedText(second(said.asked), second(said.avoided))
    alone = dub_latents(backbone(), ClipLatents(source.video[1:], source.audio[1:]), one, BASE, (2,))
    assert worst(alone, ClipLatents(both.video[1:], both.audio[1:])) < 2e-5
    other = dub_latents(backbone(), clips(), words(), BASE, (1, 3))
    assert worst(other, both) > 0.1


def test_in_bfloat16_the_latents_between_the_steps_stay_float32() -> None:
    net = replace(backbone(), transformer=deepcopy(backbone().transformer).to(torch.bfloat16))
    made, near = (dub_latents(one, clips(), words(), BASE, (1, 2)) for one in (net, backbone()))
    assert made.video.dtype == made.audio.dtype == torch.float32
    assert 0 < worst(made, near) < 0.2
    levels = made.video[:, :, 1:].unique()
    assert not torch.equal(levels, levels.to(torch.bfloat16).float())


def test_the_first_frame_is_held_and_may_be_another_one() -> None:
    source = clips()
    held = dub_latents(backbone(), source, words(), BASE, (1, 2))
    assert torch.equal(held.video[:, :, 0], source.video[:, :, 0])
    assert not torch.equal(held.video[:, :, 1], source.video[:, :, 1])
    given = torch.randn(2, 8, 1, 2, 2)
    other = dub_latents(backbone(), source, words(), BASE, (1, 2), first=given)
    assert torch.equal(other.video[:, :, :1], given)
    assert not torch.equal(other.audio, held.audio)
    free = dub_latents(backbone(), source, words(), changed(first_frame=False), (1, 2))
    assert not torch.equal(free.video[:, :, 0], source.video[:, :, 0])


def test_the_reference_and_the_prompt_are_heard() -> None:
    wanted = dub_latents(backbone(), clips(), words(), BASE, (1, 2))
    assert worst(dub_latents(backbone(), clips(seed=5), words(), changed(first_frame=False), (1, 2)), wanted) > 1e-4
    other = GuidedText(text(seed=4), words().avoided)
    assert worst(dub_latents(backbone(), clips(), other, BASE, (1, 2)), wanted) > 1e-4
    for settings in (changed(audio_positions="negative"), changed(masks={"av": "none"}), changed(guidance=1.5)):
        assert worst(dub_latents(backbone(), clips(), words(), settings, (1, 2)), wanted) > 1e-5


def test_guidance_needs_both_prompts_and_a_scale_of_one_does_not() -> None:
    asked = GuidedText(text())
    with pytest.raises(WrongUse, match=r"incontext\.no_guidance_text"):
        dub_latents(backbone(), clips(), asked, BASE, (1, 2))
    dub_latents(backbone(), clips(), asked, changed(guidance=1.0), (1, 2))
    with pytest.raises(WrongUse, match=r"incontext\.token_shape"):
        dub_latents(backbone(), clips(), words(), BASE, (1,))


def test_kept_references_are_exact_or_refused_or_asked_for() -> None:
    with pytest.raises(WrongUse, match=r"incontext\.cache_not_exact"):
        dub_latents(backbone(), clips(), words(), changed(reference_cache="exact"), (1, 2))
    masks = MaskScheme(self_attention="reference_isolated").model_dump()
    plain = dub_latents(backbone(), clips(), words(), changed(masks=masks), (1, 2))
    kept = dub_latents(backbone(), clips(), words(), changed(masks=masks, reference_cache="exact"), (1, 2))
    assert worst(plain, kept) < 2e-5
    # Asked for under full attention it gives what isolated references give, not what the adapter was trained with.
    near = dub_latents(backbone(), clips(), words(), changed(reference_cache="approximate"), (1, 2))
    assert worst(near, plain) < 2e-5
    assert worst(near, dub_latents(backbone(), clips(), words(), BASE, (1, 2))) > 1e-5


def test_steps_are_heard_and_may_end_the_work() -> None:
    heard: list[tuple[int, int]] = []
    dub_latents(backbone(), clips(), words(), BASE, (1, 2), on_step=lambda *step: heard.append(step))
    assert heard == [(1, 3), (2, 3), (3, 3)]

    def stop(step: int, steps: int) -> None:
        raise BadInput("dubbing.cancelled", "Stopped.")

    with pytest.raises(BadInput, match="cancelled"):
        dub_latents(backbone(), clips(), words(), BASE, (1, 2), on_step=stop)


def test_the_second_stage_begins_at_its_first_level_and_leaves_the_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = changed(refine=RefineSettings().model_dump())
    larger, rough = clips(rows=4), clips(rows=4, seed=3)
    begun: list[torch.Tensor] = []
    original = sampling._denoised

    def seen(net: Any, source: Any, start: ClipLatents, *rest: Any) -> ClipLatents:
        begun.append(start.video)
        return original(net, source, start, *rest)

    monkeypatch.setattr(sampling, "_denoised", seen)
    made = refine_latents(backbone(), larger, rough, words(), settings, (1, 2))
    assert torch.equal(made.audio, rough.audio)
    assert not torch.equal(made.video, rough.video)
    assert torch.equal(made.video[:, :, 0], larger.video[:, :, 0])
    # What it starts from lies on the straight path between the rough clip and noise, at the first level.
    level = fixed_schedule(RefineSettings().levels)[:1].expand(2)
    noise = noise_like([torch.Generator().manual_seed(seed ^ 0x5EED) for seed in (1, 2)], rough.video)
    assert torch.allclose(begun[0][:, :, 1:], noised(rough.video, noise, level)[:, :, 1:], atol=1e-6)
    with pytest.raises(WrongUse, match=r"incontext\.no_refinement"):
        refine_latents(backbone(), larger, rough, words(), BASE, (1, 2))


def test_latents_become_twice_as_large_or_the_upsampler_is_refused() -> None:
    from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel

    def upsampler(**changes: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return LTX2LatentUpsamplerModel(
                **{"in_channels": 8, "mid_channels": 32, "num_blocks_per_stage": 1} | changes
            ).eval()

    source = clips()
    with torch.no_grad():
        made = upsampled(backbone(), upsampler(), source.video)
        assert made.shape == (2, 8, 3, 4, 4)
        # The upsampler works on latents that are not normalised.
        vae = backbone().video_vae
        mean, deviation = vae.latents_mean.view(1, -1, 1, 1, 1), vae.latents_std.view(1, -1, 1, 1, 1)
        raw = upsampler()(source.video * deviation + mean)
        assert torch.allclose(made * deviation + mean, raw, atol=1e-5)
        for wrong in ({"in_channels": 4}, {"rational_spatial_scale": 1.5}):
            with pytest.raises(BadInput, match=r"incontext\.upsampler_differs"):
                upsampled(backbone(), upsampler(**wrong), source.video)
