"""Sounds of events start where their frame starts, at full strength, and are the same for the same seed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import WrongUse
from dubflow.talkers.events import EVENT_KINDS, SoundEvent, event_waveform, frames_since, mix_events, onset_sample

RATES = (Fraction(25), Fraction(30000, 1001), Fraction(24))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(EVENT_KINDS), st.integers(0, 400), st.sampled_from([16000, 22050, 48000]), st.sampled_from(RATES)
)
def test_sound_begins_on_the_first_sample_of_its_frame(kind, frame, sample_rate, fps):
    start = onset_sample(frame, sample_rate, fps)
    assert abs(Fraction(start, sample_rate) - frame / fps) <= Fraction(1, 2 * sample_rate)
    silence = np.zeros(start + sample_rate, dtype=np.float32)
    mixed = mix_events(silence, [SoundEvent(kind, frame)], sample_rate, fps, seed=4)
    assert np.flatnonzero(mixed)[0] == start
    energy = np.square(mixed, dtype=np.float64)
    first = slice(start, start + sample_rate // 100)
    assert energy[first].mean() > 0.002
    assert energy[first].mean() > 0.2 * energy[start : start + sample_rate // 10].mean()


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_sounds_follow_their_seed_and_stay_in_range(kind):
    one, again, other = (event_waveform(kind, 16000, seed) for seed in (1, 1, 2))
    assert one.dtype == np.float32
    assert one.tobytes() == again.tobytes()
    assert not np.array_equal(one, other)
    assert 0.5 < np.abs(one).max() <= 1.0
    assert abs(float(one[-1])) < 1e-3


def test_kinds_sound_different():
    centroids = {}
    for kind in EVENT_KINDS:
        power = np.abs(np.fft.rfft(event_waveform(kind, 16000, 0), 16000)) ** 2
        centroids[kind] = float((np.arange(power.size) * power).sum() / power.sum())
    assert centroids["door"] < 0.6 * centroids["dog"]
    assert centroids["door"] < 0.6 * centroids["clap"]


def test_mixing_adds_keeps_what_was_there_and_cuts_at_the_end():
    rng = np.random.default_rng(0)
    speech = (0.1 * rng.standard_normal(8000)).astype(np.float32)
    before = speech.copy()
    mixed = mix_events(speech, [SoundEvent("door", 12), SoundEvent("clap", 100)], 16000, Fraction(25), seed=0)
    assert np.array_equal(speech, before)
    assert mixed.shape == speech.shape
    assert np.array_equal(mixed[: 12 * 640], speech[: 12 * 640])
    assert not np.array_equal(mixed[12 * 640 :], speech[12 * 640 :])
    loud = mix_events(np.ones(16000, dtype=np.float32), [SoundEvent("dog", 0)], 16000, Fraction(25), seed=0)
    assert np.abs(loud).max() == pytest.approx(1.0)


def test_frames_since_the_latest_event():
    events = [SoundEvent("dog", 5), SoundEvent("dog", 20), SoundEvent("door", 7)]
    assert frames_since("dog", 4, events) is None
    assert frames_since("dog", 5, events) == 0
    assert frames_since("dog", 25, events) == 5
    assert frames_since("door", 25, events) == 18


@pytest.mark.parametrize(("kind", "frame"), [("cat", 1), ("dog", -1)])
def test_unknown_events_are_refused(kind, frame):
    with pytest.raises(WrongUse) as refused:
        SoundEvent(kind, frame)
    assert refused.value.code == "talkers.bad_event"


def test_unknown_sounds_are_refused():
    for kind, rate in (("cat", 16000), ("dog", 100)):
        with pytest.raises(WrongUse) as refused:
            event_waveform(kind, rate, 0)  # type: ignore[arg-type]
        assert refused.value.code == "talkers.bad_event"
