from __future__ import annotations

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.mouth_sync import mouth_sync, vowel_level
from dubflow.speech.durations import SAMPLES_PER_FRAME
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.talkers.performance import perform
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.soundtrack import soundtrack

from .conftest import RATE


def vowels(opening: np.ndarray) -> np.ndarray:
    """A voice as loud as the mouth is open."""
    samples = np.arange(opening.size * SAMPLES_PER_FRAME)
    gain = np.interp(samples / SAMPLES_PER_FRAME - 0.5, np.arange(opening.size), opening)
    return (gain * np.sin(2 * np.pi * 800 * samples / RATE)).astype(np.float32)


def course(seed: int, frames: int = 75) -> np.ndarray:
    rough = np.random.default_rng(seed).uniform(0, 1, frames + 4)
    return 0.02 + 0.2 * np.convolve(rough, np.ones(5) / 5, "valid") ** 2


def moved(waveform: np.ndarray, late: int) -> np.ndarray:
    by = late * SAMPLES_PER_FRAME
    return np.roll(np.pad(waveform, abs(by)), by)[abs(by) : abs(by) + waveform.size]


@pytest.mark.parametrize("late", [-14, -6, 0, 2, 9, 15])
def test_a_known_shift_is_found(late: int) -> None:
    opening = course(0)
    found = mouth_sync(opening, moved(vowels(opening), late))
    assert found is not None
    assert found.offset == -late
    assert found.correlation > 0.7
    assert found.at_zero == found.curve[15]
    assert found.confidence > 0.3


def test_level_and_scale_change_nothing_and_gaps_little() -> None:
    opening = course(1)
    sound = moved(vowels(opening), 3)
    found = mouth_sync(opening, sound)
    other = mouth_sync(7 * opening, np.float32(0.05) * sound)
    assert found is not None
    assert other is not None
    assert other.curve == pytest.approx(found.curve, abs=1e-6)
    with_gaps = opening.copy()
    with_gaps[10:14] = np.nan
    gaps = mouth_sync(with_gaps, sound)
    assert gaps is not None
    assert gaps.offset == found.offset == -3


def test_noise_lowers_the_correlation() -> None:
    opening = course(2)
    noise = np.random.default_rng(0).normal(0, 0.1, opening.size * SAMPLES_PER_FRAME).astype(np.float32)
    found = [mouth_sync(opening, vowels(opening) + np.float32(gain) * noise) for gain in (0, 1, 8)]
    levels = [one.at_zero if one else 0.0 for one in found]
    assert levels == sorted(levels, reverse=True)
    assert levels[2] < 0.6 * levels[0]


def test_only_vowels_count() -> None:
    samples = np.arange(RATE) / RATE
    hum, vowel, hiss = (np.sin(2 * np.pi * hz * samples).astype(np.float32) for hz in (80, 900, 5000))
    levels = [vowel_level(one, 25)[12] for one in (hum, vowel, hiss)]
    assert levels[1] == pytest.approx(-3, abs=0.3)
    assert max(levels[0], levels[2]) < levels[1] - 25


def test_nothing_moves() -> None:
    opening = course(3)
    assert mouth_sync(np.full(75, 0.1), vowels(opening)) is None
    assert mouth_sync(opening, np.zeros(75 * SAMPLES_PER_FRAME, np.float32)) is None


@pytest.mark.parametrize(
    ("opening", "code"),
    [
        (np.zeros((75, 2)), "judging.bad_curve"),
        (course(4, 39), "judging.too_short"),
        (np.full(75, np.nan), "judging.too_short"),
        (np.zeros(0), "judging.too_short"),
    ],
)
def test_what_cannot_be_judged(opening: np.ndarray, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        mouth_sync(opening, np.ones(75 * SAMPLES_PER_FRAME, np.float32))
    assert caught.value.code == code


@pytest.mark.slow
def test_the_embedded_world_is_in_step(synthesizer: EspeakSynthesizer) -> None:
    """Intended mouths of talkers against their sound, moved by known frames; drawn pictures are not needed for that."""
    errors = []
    for plan in plan_corpus(identities=6, clips=3, languages=("en", "fr", "ru"), seed=5):
        sound = soundtrack(plan, synthesizer)
        shown = perform(plan, sound)
        if len(shown) != 1:
            continue
        assert sound.sample_rate == RATE
        for late in (-9, 0, 4):
            found = mouth_sync(shown[0].opening, moved(sound.waveform, late))
            assert found is not None
            errors.append(found.offset + late)
    assert len(errors) > 20
    assert np.mean(np.abs(errors) <= 1) > 0.85, errors
