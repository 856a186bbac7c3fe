"""Kaldi's log-mel energies: against transformers' own, and by what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.judging.full.eres2net.fbank import BANDS, FLOOR, kaldi_fbank

RATE = 16_000


def loud(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, round(seconds * RATE)).astype(np.float32)


def test_as_another_implementation_has_them() -> None:
    utils = pytest.importorskip("transformers.audio_utils")
    theirs = utils.spectrogram(
        loud().astype(np.float64),
        utils.window_function(400, "povey", periodic=False),
        frame_length=400,
        hop_length=160,
        fft_length=512,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=utils.mel_filter_bank(
            257, 80, min_frequency=20, max_frequency=8000, sampling_rate=RATE, norm=None, mel_scale="kaldi",
            triangularize_in_mel_space=True,
        ),
        log_mel="log",
        mel_floor=1.192092955078125e-07,
        remove_dc_offset=True,
    ).T  # fmt: skip
    np.testing.assert_allclose(kaldi_fbank(loud()), theirs, atol=2e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 4000))
def test_only_whole_frames(samples: int) -> None:
    frames = kaldi_fbank(np.zeros(samples, np.float32)).shape
    assert frames == (0 if samples < 400 else 1 + (samples - 400) // 160, BANDS)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.3, 4.0), st.floats(-0.5, 0.5), st.integers(0, 99))
def test_level_adds_a_constant_and_an_offset_nothing(gain: float, offset: float, seed: int) -> None:
    sound = loud(0.1, seed).astype(np.float64)
    np.testing.assert_allclose(kaldi_fbank(gain * sound + offset), kaldi_fbank(sound) + 2 * np.log(gain), atol=1e-4)


def test_silence_lies_on_the_floor() -> None:
    assert np.all(kaldi_fbank(np.zeros(4000)) == np.float32(np.log(FLOOR)))


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 2500.0, 6000.0])
def test_a_tone_is_loudest_in_its_band(hertz: float) -> None:
    edges = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(8000 / 700), 82)
    centres = 700 * np.expm1(edges[1:-1] / 1127)
    found = kaldi_fbank(0.5 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)).mean(axis=0)
    assert abs(int(found.argmax()) - int(np.abs(centres - hertz).argmin())) <= 1


def test_a_frame_hears_nothing_but_itself() -> None:
    sound = loud()
    other = sound.copy()
    other[160 * 50 + 400 :] = 0
    np.testing.assert_array_equal(kaldi_fbank(sound)[:51], kaldi_fbank(other)[:51])
