"""When somebody speaks: by known stretches of sound, and by talkers whose phones' times are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.speech.activity import LevelActivity

RATE = 16_000


def _sound(
    stretches: list[tuple[float, float]], seconds: float, *, gain: float = 0.3, floor_db: float = -80
) -> np.ndarray:
    rng = np.random.default_rng(0)
    times = np.arange(int(seconds * RATE)) / RATE
    spoken = np.zeros_like(times)
    for start, end in stretches:
        spoken[(times >= start) & (times < end)] = 1.0
    voice = gain * np.sin(2 * np.pi * 180 * times) * spoken
    return (voice + 10 ** (floor_db / 20) * rng.standard_normal(len(times))).astype(np.float32)


@given(
    st.lists(st.floats(0.3, 0.9), min_size=1, max_size=4),
    st.lists(st.floats(0.3, 0.8), min_size=5, max_size=5),
    st.floats(0.02, 0.9),
    st.sampled_from([-80.0, -60.0]),
)
@settings(deadline=None, max_examples=12)
def test_stretches_are_found_at_any_level(lengths: list[float], gaps: list[float], gain: float, floor: float) -> None:
    at, stretches = gaps[0], []
    for length, gap in zip(lengths, gaps[1:], strict=False):
        stretches.append((at, at + length))
        at += length + gap
    found = LevelActivity().stretches(_sound(stretches, at, gain=gain, floor_db=floor), RATE)
    assert [(one.start, one.end) for one in found] == [
        (pytest.approx(start, abs=0.03), pytest.approx(end, abs=0.03)) for start, end in stretches
    ]


def test_closures_belong_to_speech_and_clicks_do_not() -> None:
    sound = _sound([(0.5, 0.8), (0.95, 1.3), (2.0, 2.02), (2.6, 3.0)], 3.5)
    found = [(round(one.start, 1), round(one.end, 1)) for one in LevelActivity().stretches(sound, RATE)]
    assert found == [(0.5, 1.3), (2.6, 3.0)]


def test_silence_and_a_steady_sound() -> None:
    assert LevelActivity().stretches(np.zeros(RATE, np.float32), RATE) == []
    assert LevelActivity().stretches(_sound([], 1.0, floor_db=-70), RATE) == []
    assert LevelActivity().stretches(np.zeros(0, np.float32), RATE) == []
    whole = LevelActivity().stretches(_sound([(0.0, 2.0)], 2.0), RATE)
    assert [(one.start, one.end) for one in whole] == [(0.0, 2.0)]


def test_what_is_no_sound() -> None:
    for waveform, rate in ((np.zeros((2, 100), np.float32), RATE), (np.zeros(100, np.float32), 0)):
        with pytest.raises(BadInput) as caught:
            LevelActivity().stretches(waveform, rate)
        assert caught.value.code == "speech.bad_waveform"


def test_the_settings_are_part_of_the_id() -> None:
    assert LevelActivity().id != LevelActivity(closure_s=0.3).id
