"""A spectrogram shows what is there: the right bin, the right level, at the right time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.speech.mel import FLOOR_DB, MEL_BINS, hz_to_mel, log_mel, mel_centres

RATE, HOP = 16_000, 200


def sine(hz: float, amplitude: float = 1.0, seconds: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(RATE * seconds)) / RATE + 0.3)


def total_db(mel: np.ndarray) -> np.ndarray:
    return 10 * np.log10((10 ** (mel.astype(np.float64) / 10)).sum(axis=0))


@given(st.integers(0, MEL_BINS - 1))
@settings(deadline=None, max_examples=80)
def test_a_sine_lights_the_bin_at_its_frequency(index: int) -> None:
    mel = log_mel(sine(float(mel_centres()[index])))
    middle = mel[:, 20]
    # The lowest filters are narrower than the window's main lobe (40 Hz), so a neighbour may be as bright.
    assert abs(int(middle.argmax()) - index) <= (1 if index < 12 else 0)
    assert middle.max() - np.median(middle) > 25


def test_1000_hz_is_1000_mel_and_lies_where_the_scale_says() -> None:
    assert hz_to_mel(np.array(1000.0)) == pytest.approx(1000.0, abs=0.1)
    step = hz_to_mel(np.array(8000.0)) / (MEL_BINS + 1)
    assert int(log_mel(sine(1000.0))[:, 20].argmax()) == round(1000.0 / step) - 1


@given(st.floats(150, 7000), st.floats(0.01, 1.0))
@settings(deadline=None, max_examples=40)
def test_all_bins_together_have_the_power_of_the_sine(hz: float, amplitude: float) -> None:
    whole = total_db(log_mel(sine(hz, amplitude)))[4:-4]
    assert whole == pytest.approx(20 * np.log10(amplitude) - 3.01, abs=0.15)


def test_all_bins_together_have_the_mean_square_of_noise() -> None:
    noise = np.random.default_rng(5).normal(0, 0.1, 20 * RATE)
    inside = 10 ** (log_mel(noise).astype(np.float64) / 10)
    # Half of the first and the last filter fall outside the sum of ones: their share of the band is known.
    edges = np.concatenate([[0.0], mel_centres(), [RATE / 2]])
    share = 1 - ((edges[1] - edges[0]) + (edges[-1] - edges[-2])) / 2 / (RATE / 2)
    assert inside.sum(axis=0).mean() == pytest.approx(0.01 * share, rel=0.02)


@given(st.integers(1, 30), st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_a_shift_by_whole_frames_shifts_the_picture(frames: int, seed: int) -> None:
    speech = np.random.default_rng(seed).normal(0, 0.2, 4000)
    later = log_mel(np.concatenate([np.zeros(HOP * frames), speech]))
    np.testing.assert_allclose(later[:, frames:], log_mel(speech), atol=1e-4)
    assert (later[:, : max(0, frames - 2)] == FLOOR_DB).all()


def test_louder_by_a_factor_is_brighter_by_its_decibels() -> None:
    speech = np.random.default_rng(3).normal(0, 0.05, 8000)
    np.testing.assert_allclose(log_mel(10 * speech) - log_mel(speech), 20.0, atol=1e-4)


def test_a_click_is_seen_at_the_token_that_it_falls_in() -> None:
    audio = np.zeros(HOP * 40)
    audio[HOP * 17 + 100] = 1.0
    assert int(total_db(log_mel(audio)).argmax()) == 17


@pytest.mark.parametrize("samples", [0, 1, 199, 200, 201, 640])
def test_there_is_a_frame_for_every_codec_token(samples: int) -> None:
    mel = log_mel(np.full(samples, 0.1, np.float32))
    assert mel.shape == (MEL_BINS, -(-samples // HOP))
    assert mel.dtype == np.float32
    assert np.isfinite(mel).all()


def test_silence_is_the_floor() -> None:
    assert (log_mel(np.zeros(2000)) == FLOOR_DB).all()


@pytest.mark.parametrize(
    "audio", [np.zeros((2, 400)), np.zeros(400, np.int16), np.array([0.0, np.nan]), np.array([np.inf])]
)
def test_what_is_no_mono_sound_is_bad_input(audio: np.ndarray) -> None:
    with pytest.raises(BadInput) as caught:
        log_mel(audio)
    assert caught.value.code == "speech.bad_waveform"
