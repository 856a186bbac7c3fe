"""Segments stand on the clip's clock to the sample, and everything else is silence or as it was."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.dubbing.stitching import samples_of, stitch

FADE = 160


def loud(frames: int) -> np.ndarray:
    return np.full(640 * frames, 0.5, np.float32)


def test_segments_begin_with_their_frames() -> None:
    whole = stitch([(5, loud(10)), (20, loud(4))], 16_000, 16_000)
    sounding = np.flatnonzero(whole)
    inside = np.r_[5 * 640 + 1 : 15 * 640 - 1, 20 * 640 + 1 : 24 * 640 - 1]
    assert np.array_equal(sounding, inside)
    assert (whole[5 * 640 + FADE : 15 * 640 - FADE] == 0.5).all()


def test_a_segment_that_outlasts_the_clip_is_cut() -> None:
    whole = stitch([(20, loud(10))], 15_000, 16_000)
    assert whole.shape == (15_000,)
    assert whole[14_000] == 0.5


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_original_sounds_between_segments_and_not_within(rate: int) -> None:
    original = np.full(rate, 0.25, np.float32)
    whole = stitch([(10, np.zeros(640 * 5, np.float32))], rate, rate, original)
    start, stop, fade = round(0.4 * rate), round(0.6 * rate), round(0.01 * rate)
    assert (whole[:start] == 0.25).all()
    assert (whole[stop:] == 0.25).all()
    assert (whole[start + fade : stop - fade] == 0).all()
    assert (np.abs(np.diff(whole)) < 0.01).all()  # no click


def test_an_original_of_other_length_is_cut_or_followed_by_silence() -> None:
    whole = stitch([], 1000, 16_000, np.ones(400, np.float32))
    assert whole[:400].all()
    assert not whole[400:].any()
    assert stitch([], 300, 16_000, np.ones(400, np.float32)).shape == (300,)


def test_speech_at_another_rate_keeps_its_place_and_pitch() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(640 * 25) / 16_000).astype(np.float32)
    whole = stitch([(25, tone)], 3 * 48_000, 48_000)
    heard = whole[48_000 + 4800 : 96_000 - 4800]
    expected = np.sin(2 * np.pi * 440 * (np.arange(len(heard)) + 4800) / 48_000)
    assert np.abs(heard - expected).max() < 1e-3


@given(duration=st.fractions(0, 1000, max_denominator=90_000), rate=st.sampled_from([16_000, 44_100, 48_000]))
def test_samples_are_the_nearest_to_the_duration(duration: Fraction, rate: int) -> None:
    assert abs(samples_of(duration, rate) - duration * rate) <= Fraction(1, 2)
