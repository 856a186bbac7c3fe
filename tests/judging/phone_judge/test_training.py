from __future__ import annotations

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.phone_judge.augmentation import (
    changed_picture,
    changed_sound,
    changed_speed,
    noise,
    nothing_said,
)
from dubflow.judging.phone_judge.facts import PhoneNetworkSettings
from dubflow.judging.phone_judge.hearing import spectrogram
from dubflow.judging.phone_judge.material import SpokenClip, symbol_counts
from dubflow.judging.phone_judge.training import PhoneTraining, phone_error_rate, train_phones

TINY = PhoneTraining(
    network=PhoneNetworkSettings(width=32, blocks=1, kernel=5, dropout=0.0),
    steps=120, clips=4, rate=6e-3, warmup=5, check=40, silent=0.05, mean=0.8, seed=5,
)  # fmt: skip
HZ = {"a": 700.0, "i": 2500.0, "u": 350.0}


def beep(number: int) -> SpokenClip:
    """Three to five "phones", each a tone of its own of 50 ms, with a pause between."""
    rng = np.random.default_rng(number)
    phones = tuple(rng.choice(list(HZ), rng.integers(3, 6)))
    seconds = np.arange(800) / 16_000
    parts, starts = [np.zeros(800)], []
    for phone in phones:
        starts.append(sum(map(len, parts)) / 16_000)
        parts += [0.3 * np.sin(2 * np.pi * HZ[phone] * seconds), np.zeros(1200)]
    return SpokenClip(
        id=str(number),
        language="en",
        waveform=np.rint(np.concatenate(parts) * 32_767).astype(np.int16),
        phones=phones,
        starts=np.array(starts),
        ends=np.array(starts) + 0.05,
    )


def test_training_learns_and_keeps_the_best() -> None:
    clips, others = [beep(i) for i in range(16)], [beep(i) for i in range(50, 56)]
    kept: list[float] = []
    found = train_phones(clips, others, TINY, keep=lambda best: kept.append(best.error_rate))
    assert found.error_rate == min(kept) == kept[-1] < 0.5
    assert phone_error_rate(found.network, others) == found.error_rate
    assert not found.network.training
    further = train_phones(clips, others, TINY.model_copy(update={"steps": 1, "rate": 1e-9}), start=found.network)
    assert further.error_rate == pytest.approx(found.error_rate, abs=0.05)


@pytest.mark.slow
def test_equal_arguments_give_equal_weights() -> None:
    clips, short = [beep(i) for i in range(6)], TINY.model_copy(update={"steps": 6, "check": 3})
    one, same, other = (
        train_phones(clips, clips[:2], settings).network.state_dict()
        for settings in (short, short, short.model_copy(update={"seed": 6}))
    )
    assert all(one[name].equal(same[name]) for name in one)
    assert not all(one[name].equal(other[name]) for name in one)


def test_nothing_to_train_on() -> None:
    for clips, others in (([], [beep(0)]), ([beep(0)], [])):
        with pytest.raises(BadInput) as caught:
            train_phones(clips, others, TINY)
        assert caught.value.code == "judging.nothing_to_judge"


def test_augmentation_is_repeatable_keeps_lengths_and_changes_something() -> None:
    wave = beep(3).samples
    changed = [changed_sound(wave, np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4)]
    assert all(one.shape == wave.shape and np.isfinite(one).all() for one in changed)
    np.testing.assert_array_equal(changed[0], changed[1])
    assert any(np.abs(one - wave).max() > 0.01 for one in changed)
    picture = spectrogram(wave)
    for seed in range(8):
        seen = changed_picture(picture, np.random.default_rng(seed), (0.8, 1.25))
        assert seen.shape == picture.shape
        assert seen.min() >= picture.min() - 1e-5
        assert seen.max() <= picture.max() + 1e-5


def test_speed_changes_the_length_by_as_much() -> None:
    wave = beep(4).samples
    speeds = set()
    for seed in range(12):
        played, speed = changed_speed(wave, np.random.default_rng(seed))
        assert played.size == pytest.approx(wave.size / speed, abs=2)
        speeds.add(speed)
    assert len(speeds) > 5
    assert 1.0 in speeds


@pytest.mark.parametrize("samples", [1, 4_095, 4_096, 48_001])
def test_noise_has_power_one(samples: int) -> None:
    made = noise(samples, np.random.default_rng(0))
    assert made.shape == (samples,)
    assert np.square(made).mean() == pytest.approx(1)
    assert np.isfinite(nothing_said(samples, np.random.default_rng(1))).all()


def test_counts() -> None:
    clips = [beep(i) for i in range(4)]
    assert symbol_counts(clips).total() == sum(len(clip.phones) for clip in clips)
    assert all((clip.classes > 0).all() for clip in clips)
