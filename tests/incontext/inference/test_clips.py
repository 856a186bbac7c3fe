"""Clips of any size and length: as many frames, as large, sound to the sample; windows that continue each other."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.settings import Version
from dubflow.incontext.inference import clips
from dubflow.incontext.inference.clips import ClipDubber, SourceClip
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.inference.windows import SpokenText
from incontext.samples import backbone

SMALL = InferenceSettings(width=64, height=64, frames=17, overlap=1, steps=1, guidance=1.0)


def source(frames: int, height: int = 64, width: int = 64, *, samples: int | None = None) -> SourceClip:
    rng = np.random.default_rng(frames)
    sound = 0.1 * rng.standard_normal(640 * frames if samples is None else samples)
    return SourceClip(rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8), sound.astype(np.float32))


def dubbed(clip: SourceClip, words: str = "un deux trois", version: Version = "2.0", **changes: Any) -> Any:
    chosen = InferenceSettings.model_validate(SMALL.model_dump() | changes)
    return ClipDubber(backbone(version), chosen).dub(clip, [SpokenText(words, 0, len(clip.frames))], "fr", 7)


@settings(deadline=None, max_examples=4)
@given(frames=st.integers(1, 40), short=st.integers(-900, 900))
def test_what_comes_out_is_as_long_as_what_went_in(frames: int, short: int) -> None:
    clip = source(frames, samples=max(1, 640 * frames + short))
    made = dubbed(clip)
    assert made.frames.shape == clip.frames.shape
    assert Fraction(len(made.waveform), made.sample_rate) == Fraction(frames, 25)
    assert np.isfinite(made.waveform).all()


@pytest.mark.parametrize(("version", "rate"), [("2.0", 24_000), ("2.3", 48_000)])
def test_any_size_comes_back_and_the_rate_is_the_bases(version: Version, rate: int) -> None:
    made = dubbed(source(5, 90, 161), version=version)
    assert made.frames.shape == (5, 90, 161, 3)
    assert (made.sample_rate, len(made.waveform)) == (rate, rate // 5)


def test_the_same_seed_gives_the_same_clip_and_the_language_is_heard() -> None:
    clip = source(9)
    one, two = dubbed(clip), dubbed(clip)
    assert np.array_equal(one.frames, two.frames)
    assert np.array_equal(one.waveform, two.waveform)
    assert not np.array_equal(dubbed(clip, "vier").waveform, one.waveform)


def test_a_window_begins_with_the_picture_that_the_one_before_made(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor | None, list[int]]] = []
    original = clips.dub_latents

    def record(net: Any, given: Any, text: Any, chosen: Any, seeds: list[int], **more: Any) -> Any:
        seen.append((more["first"], seeds))
        return original(net, given, text, chosen, seeds, **more)

    monkeypatch.setattr(clips, "dub_latents", record)
    shares: list[float] = []
    ClipDubber(backbone(), SMALL).dub(source(33), [SpokenText("a b c", 0, 33)], "fr", 7, shares.append)
    (first, seed), (second, other) = seen
    assert first is None
    assert second is not None
    assert second.shape[2] == 1
    assert seed != other
    assert shares == [0.5, 1.0]
    assert np.array_equal(shares, sorted(shares))


def test_prompts_say_what_each_window_says(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[str] = []
    original = clips.encode_text

    def record(net: Any, asked: list[str], cache: Any) -> Any:
        prompts.extend(asked)
        return original(net, asked, cache)

    monkeypatch.setattr(clips, "encode_text", record)
    texts = [SpokenText("early words", 0, 12), SpokenText('later "quoted"', 24, 33)]
    ClipDubber(backbone(), SMALL.model_copy(update={"guidance": 2.0})).dub(source(33), texts, "de-at", 7)
    assert prompts == [
        SMALL.negative_prompt,
        'The person is speaking German, saying: "early words"',
        "The person is speaking German, saying: \"later 'quoted'\"",
    ]


def test_two_stages_double_the_canvas_and_keep_the_size() -> None:
    from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        upsampler = LTX2LatentUpsamplerModel(in_channels=8, mid_channels=32, num_blocks_per_stage=1).eval()
    chosen = InferenceSettings.model_validate(SMALL.model_dump() | {"refine": {"levels": (0.4, 0.0)}})
    shares: list[float] = []
    with torch.no_grad():
        made = ClipDubber(backbone(), chosen, upsampler=upsampler).dub(
            source(9, 90, 90), [SpokenText("a", 0, 9)], "fr", 7, shares.append
        )
    assert made.frames.shape == (9, 90, 90, 3)
    assert shares == [0.5, 1.0]
    with pytest.raises(WrongUse, match=r"incontext\.no_upsampler"):
        ClipDubber(backbone(), chosen)


def test_a_clip_without_picture_or_sound_is_refused() -> None:
    for clip in (source(0, samples=10), source(3, samples=0)):
        with pytest.raises(BadInput, match=r"incontext\.empty_clip"):
            dubbed(clip)
