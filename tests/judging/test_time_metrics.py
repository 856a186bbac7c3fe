"""Duration error, intensity, correlation, and what the prosody measures mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.correlation import correlation
from dubflow.judging.emotion import emotion_similarity
from dubflow.judging.intensity import HOP, WINDOW, intensity_correlation, rms_envelope
from dubflow.judging.lengths import duration_error_s
from dubflow.judging.prosody import compare_pitch
from dubflow.speech.prosody import Pitch

from .conftest import RATE


def test_duration_error() -> None:
    assert duration_error_s(48_000, 40_000) == 0.5
    assert duration_error_s(40_000, 48_000) == -0.5
    assert duration_error_s(44_100, 44_100, 44_100) == 0
    for bad in ((-1, 3, 16_000), (1, 3, 0)):
        with pytest.raises(BadInput) as caught:
            duration_error_s(*bad)
        assert caught.value.code == "judging.bad_length"


def test_the_envelope_is_root_mean_squares() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 5000).astype(np.float32)
    envelope = rms_envelope(sound)
    assert envelope.size == 1 + 5000 // HOP
    padded = np.pad(sound.astype(np.float64), WINDOW)
    for index in (0, 3, 10, 19):
        around = padded[WINDOW + HOP * index - WINDOW // 2 :][:WINDOW]
        assert envelope[index] == pytest.approx(np.sqrt(np.square(around).mean()), rel=1e-9)
    assert not rms_envelope(np.zeros(3000, np.float32)).any()


def test_intensity() -> None:
    rng = np.random.default_rng(1)
    course = np.repeat(rng.uniform(0.02, 1, 40), RATE // 20)
    sound = (course * rng.normal(0, 0.1, course.size)).astype(np.float32)
    again = (course * rng.normal(0, 0.1, course.size)).astype(np.float32)
    assert intensity_correlation(sound, sound) == pytest.approx(1)
    other = intensity_correlation(sound, again)
    assert other is not None
    assert other > 0.95  # the course counts, not the samples
    assert intensity_correlation(sound, np.float32(0.01) * again) == pytest.approx(other, abs=1e-6)
    assert intensity_correlation(again, sound) == pytest.approx(other)
    slower = np.repeat(again, 2)[: 2 * again.size]
    assert intensity_correlation(sound, slower) > 0.9  # the longer is laid onto the shorter
    noise = rng.normal(0, 0.1, course.size).astype(np.float32)
    falling = [intensity_correlation(sound, again + np.float32(gain) * noise) for gain in (0, 1, 5)]
    assert falling == sorted(falling, reverse=True)
    shifted = [intensity_correlation(sound, np.roll(sound, by)) for by in (0, 400, 800, 1200)]
    assert shifted == sorted(shifted, reverse=True)
    assert intensity_correlation(sound, np.zeros(sound.size, np.float32)) is None
    with pytest.raises(BadInput) as caught:
        intensity_correlation(sound, sound[: HOP + 1])
    assert caught.value.code == "judging.too_short"


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
@settings(deadline=None, max_examples=60)
def test_correlation(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(2, count))
    assert correlation(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert correlation(one, 5 * one + 3) == pytest.approx(1)
    assert correlation(one, -one) == pytest.approx(-1)
    assert correlation(one, np.full(count, 1e6)) is correlation(np.zeros(count), one) is None
    assert correlation(one[:0], other[:0]) is None


def test_the_three_errors_of_the_melody_by_hand() -> None:
    """Of ten moments: one voiced falsely, one not at all, and of the six voiced in both one is an octave off."""
    true = np.array([0, 0, 0, 100, 100, 100, 100, 100, 100, 100.0])
    said = np.array([90, 0, 0, 0, 101, 119, 81, 200, 100, 100.0])
    found = compare_pitch(Pitch(true, true > 0), Pitch(said, said > 0))
    assert found.voicing_error == pytest.approx(2 / 10)
    assert found.gross_pitch_error == pytest.approx(1 / 6)
    assert found.frame_error == pytest.approx(3 / 10)  # Chu and Alwan: both kinds, over all moments


def test_emotion_is_the_cosine_of_what_an_encoder_says() -> None:
    class Loudness:
        id = "loudness"

        def embed(self, waveform: np.ndarray) -> np.ndarray:
            return np.array([waveform.std(), 1.0], np.float32)

    one, loud = np.zeros(RATE, np.float32), np.tile(np.array([1, -1], np.float32), RATE // 2)
    assert emotion_similarity(loud, loud, Loudness()) == pytest.approx(1)
    assert emotion_similarity(one, loud, Loudness()) == pytest.approx(np.sqrt(0.5))
