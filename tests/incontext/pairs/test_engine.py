"""From prompts to pairs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.settings import Version
from dubflow.incontext.inference.sampling import ClipLatents
from dubflow.incontext.pairs.augmentation import merged, spelled
from dubflow.incontext.pairs.engine import PairEngine
from dubflow.incontext.pairs.engine_parts import ContextHalf, GeneratedHalf, MadePair, Span
from dubflow.incontext.pairs.engine_settings import SynthesisSettings
from dubflow.incontext.pairs.manifest import PairFile, PairRow
from incontext import samples
from incontext.pairs.engine_room import (
    SETTINGS,
    DrawnClips,
    KnownFace,
    Louder,
    Middle,
    NeverCut,
    OwnLatents,
    base,
    engine,
    prompt,
)


def test_either_half_is_a_target_as_it_was_and_its_context_speaks_the_other_language() -> None:
    made = engine().make(prompt(), 7)
    assert made.clip is not None
    assert [half.half for half in made.halves] == [0, 1]
    for half, span in zip(made.halves, (Span(2, 19), Span(24, 41)), strict=True):
        pair = half.pair
        assert np.array_equal(pair.target.frames, made.clip.frames[span.start : span.stop])
        start = span.start * 24000 // 25
        assert np.array_equal(pair.target.waveform, made.clip.waveform[start : start + 17 * 960])
        assert pair.context.frames.shape == pair.target.frames.shape
        assert len(pair.context.waveform) == 17 * pair.context.sample_rate // 25
        assert pair.context.role == "merged"
        assert half.lineage["roles"] == {"target": "generated", "context": "merged"}
        assert half.face.shape == (17, 64, 64)
    first, second = (half.pair for half in made.halves)
    assert (first.target_said, first.target_language) == ("bin blue", "en")
    assert (first.context_said, first.context_language) == ("pose", "fr")
    assert (second.target_language, second.context_said, second.context_language) == ("fr", "blue", "en")
    assert np.array_equal(first.other.frames, second.target.frames)


def test_either_half_keeps_the_latents_of_its_sound_as_the_base_made_them() -> None:
    made = engine(maker=OwnLatents()).make(prompt(), 7)
    assert made.clip is not None
    assert made.clip.latents is not None
    whole = made.clip.latents.audio[0]
    for half, span in zip(made.halves, (slice(2, 19), slice(24, 41)), strict=True):
        target, context = half.pair.target.tokens, half.pair.context.tokens
        assert target is not None
        assert context is not None
        assert torch.equal(target, whole[span])
        assert context.shape == target.shape
        # The tokens that are wholly the half's are all re-spoken.
        assert bool((context != target).any(dim=1).all())
        assert half.lineage["base"]["audio_vae"] == fingerprint(base().audio_vae)
    assert all(half.pair.target.tokens is None for half in engine().make(prompt(), 7).halves)


def test_lineage_leads_down_to_prompt_seeds_base_and_mask() -> None:
    (half, _) = engine().make(prompt(), 7).halves
    told = half.lineage
    assert told["prompt"]["segments"][0]["text"] == "bin blue"
    assert told["prompt_text"] == 'a person. en 0.0-0.6: "bin blue" | fr 1.0-1.6: "bleu"'
    assert told["inpainting"]["prompt"] == 'a person. fr 0.0-0.6: "pose" | fr 1.0-1.6: "bleu"'
    letters = told["augmentation"]["said"].split("..")
    assert len(letters) >= 3
    assert all(len(one) == 1 for one in letters)
    seeds = {told["clip"]["seed"], told["inpainting"]["seed"], told["augmentation"]["seed"]}
    assert len(seeds) == 3
    assert told["mask"]["definition"] == "naive"
    assert 0 < told["mask"]["remade"] < 1
    assert len(told["base"]["fingerprint"]) == 64
    assert told["split"] == {"start": 2, "stop": 19, "switch_s": 0.8}


def test_merged_is_the_sound_of_the_first_pass_with_the_lips_of_the_second() -> None:
    plain = engine(augment=False).make(prompt(), 7).halves[0]
    both = engine().make(prompt(), 7).halves[0]
    assert plain.pair.context.role == "inpainted"
    assert "augmentation" not in plain.lineage
    # Of four passes at once sums may be taken in another order.
    assert np.allclose(plain.pair.context.waveform, both.pair.context.waveform, atol=1e-4)
    assert not np.array_equal(plain.pair.context.frames, both.pair.context.frames)


def test_what_is_made_hangs_on_the_prompt_and_the_seed_alone() -> None:
    one, again, other = (engine().make(prompt(), seed).halves[1] for seed in (7, 7, 8))
    assert np.array_equal(one.pair.context.frames, again.pair.context.frames)
    assert np.array_equal(one.pair.context.waveform, again.pair.context.waveform)
    assert one.lineage == again.lineage
    assert one.lineage["inpainting"]["seed"] != other.lineage["inpainting"]["seed"]
    in_turn = engine(batch=1).make(prompt(), 7).halves[1]
    apart = np.abs(in_turn.pair.context.frames.astype(int) - one.pair.context.frames)
    assert apart.max() <= 1


def test_another_seed_is_tried_where_a_clip_shows_no_face() -> None:
    maker = DrawnClips(faceless=(0, 1))
    made = engine(maker=maker).make(prompt(), 7)
    assert [one.code for one in made.refused] == ["faces.no_face"] * 2
    assert len(set(maker.made)) == 3
    assert made.halves[0].lineage["clip"]["seed"] == maker.made[2]


def test_a_prompt_of_which_nothing_comes_says_why() -> None:
    made = engine(splitter=NeverCut(), tries=2).make(prompt(), 7)
    assert (made.clip, made.halves) == (None, ())
    assert [one.reason for one in made.refused] == ["Speech runs through."] * 2
    empty = engine(mask={"definition": "fine", "threshold": 1e6}, tries=1).make(prompt(), 7)
    assert [one.code for one in empty.refused] == ["incontext.empty_mask"]
    long = engine(tries=1).make(prompt(speaker={"description": "x" * 300}), 7)
    assert long.halves  # the compact form leaves descriptions out
    long = engine(form="full", tries=1).make(prompt(speaker={"description": "x" * 300}), 7)
    assert [one.code for one in long.refused] == ["incontext.prompt_too_long"]
    with pytest.raises(BadInput) as refused:
        engine().make(prompt().model_copy(update={"segments": prompt().segments[:1]}), 7)
    assert refused.value.code == "incontext.not_a_switch"


@pytest.mark.parametrize("version", ["2.3", "2.5"])
def test_later_bases_make_pairs_too(version: Version) -> None:
    settings = SynthesisSettings.model_validate(SETTINGS | {"guidance": 2.0, "hold": "replace"})
    later = PairEngine(samples.backbone(version), settings, DrawnClips(), Middle(), KnownFace())
    made = later.make(prompt(), 7)
    assert made.refused == ()
    assert [half.lineage["base"]["version"] for half in made.halves] == [version] * 2
    assert {half.pair.context.sample_rate for half in made.halves} == {48000}
    assert all(len(half.pair.context.waveform) == 17 * 1920 for half in made.halves)


def test_figures_are_taken_of_every_pair() -> None:
    halves = engine(quality=Louder()).make(prompt(), 7).halves
    assert all(half.measured.figures["loudness"] > 0 for half in halves)


def test_another_base_mask_or_splitter_is_another_identity() -> None:
    class Later(Middle):
        id = "later"

    same, again, *others = (
        one.identity
        for one in (engine(), engine(), engine(mask={}), engine(splitter=Later()), engine(quality=Louder()))
    )
    assert same == again
    assert all(one != same for one in others)


def test_a_merged_clip_is_never_a_target() -> None:
    frames, sound = np.zeros((9, 2, 2, 3), np.uint8), np.zeros(9 * 640, np.float32)
    once, both = (ContextHalf(frames, sound, 16000, role) for role in ("inpainted", "merged"))
    whole = GeneratedHalf(frames, sound, 16000)
    said = {"target_said": "a", "target_language": "en", "context_said": "b", "context_language": "fr"}
    assert MadePair(target=whole, context=both, other=whole, **said).context.role == "merged"
    for target, context in ((both, both), (once, both), (whole, whole), (both, whole)):
        with pytest.raises(WrongUse) as refused:
            MadePair(target=target, context=context, other=whole, **said)  # type: ignore[arg-type]
        assert refused.value.code == "incontext.pair_roles"
    file = PairFile(path="a.mp4", sha256="0" * 64)
    for role in ("merged", "inpainted", None):
        with pytest.raises(ValueError, match="context only"):
            PairRow(id="a", context=file, target=file, prompt="p", lineage={"roles": {"target": role}})
    PairRow(id="a", context=file, target=file, prompt="p", lineage={"roles": {"target": "generated"}})


def test_merged_latents_are_of_two_passes_over_one_clip() -> None:
    source = torch.Generator().manual_seed(0)
    first, second = (
        ClipLatents(torch.randn(1, 8, 2, 2, 2, generator=source), torch.randn(1, 9, 8, generator=source))
        for _ in range(2)
    )
    found = merged(first, second)
    assert found.audio is first.audio
    assert found.video is second.video
    with pytest.raises(WrongUse):
        merged(first, ClipLatents(second.video[:, :, :1], second.audio))


def test_letters_to_spell() -> None:
    assert spelled(2.0, 5, a_second=3.0) == spelled(2.0, 5, a_second=3.0)
    letters = spelled(4.0, 5, a_second=3.0).split("..")
    assert len(letters) == 12
    assert all(one != other for one, other in pairwise(letters))
    assert len(spelled(0.1, 5, a_second=1.0).split("..")) == 3
    assert spelled(4.0, 6, a_second=3.0) != spelled(4.0, 5, a_second=3.0)
