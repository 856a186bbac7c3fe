"""Mouth curves: lips close where they must, round early, rest in silence, and are shaped by their neighbours."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.speech.articulation import articulation
from dubflow.speech.intervals import Interval
from dubflow.talkers.visemes import frame_centres, mouth_curves

SYMBOLS = ("p", "b", "m", "f", "v", "t", "k", "a", "i", "u", "ə", "aʊ", "w", "l", "s", "pʲ", "pf", "")


def _spoken(symbols: list[str], length: float = 0.09, start: float = 0.3) -> list[Interval]:
    edges = start + length * np.arange(len(symbols) + 1)
    return [
        Interval(start=float(a), end=float(b), label=symbol)
        for a, b, symbol in zip(edges[:-1], edges[1:], symbols, strict=True)
    ]


@given(
    st.lists(st.tuples(st.sampled_from(SYMBOLS), st.floats(0.015, 0.3)), min_size=1, max_size=25),
    st.floats(0.0, 0.5),
)
@example(phones=[("p", 0.25)] * 4, lead=0.0)  # a mean of ones, rounded, was more than one
@settings(deadline=None, max_examples=120, derandomize=True)
def test_bilabials_close_the_lips_on_every_frame_and_on_at_least_one(phones, lead: float) -> None:
    intervals, now = [], lead
    for symbol, length in phones:
        intervals.append(Interval(start=now, end=now + length, label=symbol))
        now += length
    times = frame_centres(int(25 * now) + 10)
    curves = mouth_curves(intervals, times)
    for name in ("openness", "rounding", "press", "teeth", "tongue"):
        curve = getattr(curves, name)
        assert curve.shape == times.shape
        assert np.all((curve >= 0) & (curve <= 1)), name
    assert np.all(np.abs(curves.width) <= 1)
    for phone in intervals:
        if phone.label and articulation(phone.label).is_bilabial and len(articulation(phone.label).shapes) == 1:
            inside = (times >= phone.start) & (times <= phone.end)
            middle = (phone.start + phone.end) / 2
            nearest = int(np.argmin(np.abs(times - middle)))
            assert np.all(curves.openness[inside] == 0)
            assert inside.any() or curves.openness[nearest] == 0


def test_lip_and_teeth_meet_in_f_and_v() -> None:
    for symbol in ("f", "v"):
        phones = _spoken(["a", symbol, "a"])
        times = frame_centres(25)
        curves = mouth_curves(phones, times)
        inside = (times >= phones[1].start) & (times <= phones[1].end)
        assert inside.any()
        assert np.all(curves.openness[inside] <= 0.06 + 1e-9)
        assert np.all(curves.teeth[inside] >= 0.85)
        assert curves.openness.max() > 0.5


def test_the_mouth_rests_in_silence() -> None:
    phones = [
        Interval(start=0.0, end=1.0, label=""),
        *_spoken(["m", "a", "t"], start=1.0),
        Interval(start=1.27, end=2.4, label=""),
    ]
    times = frame_centres(60)
    curves = mouth_curves(phones, times)
    resting = (times < 1.0 - 0.12) | (times > 1.27 + 0.12)
    for name in ("openness", "rounding", "press", "width", "tongue"):
        assert np.all(np.abs(getattr(curves, name)[resting]) < 1e-9), name
    assert mouth_curves([], times).openness.max() == 0


def test_rounding_begins_before_the_rounded_vowel_and_takes_the_consonant_along() -> None:
    times = np.arange(0.3, 1.0, 0.005)
    rounded = mouth_curves(_spoken(["a", "s", "t", "u"]), times)
    spread = mouth_curves(_spoken(["a", "s", "t", "i"]), times)
    in_t = (times >= 0.48) & (times <= 0.57)
    assert np.all(rounded.rounding[in_t] > spread.rounding[in_t] + 0.02)
    before_t = (times >= 0.44) & (times <= 0.48)
    assert np.all(rounded.rounding[before_t] > 0.01)
    assert np.all(np.diff(rounded.rounding[in_t]) > 0)


def test_neighbours_shape_a_weak_consonant_more_than_a_strong_one() -> None:
    times = np.array([0.3 + 0.135])  # the middle of the consonant

    def change(consonant: str) -> float:
        opened = mouth_curves(_spoken(["a", consonant, "a"]), times).openness[0]
        closed = mouth_curves(_spoken(["i", consonant, "i"]), times).openness[0]
        return float(abs(opened - closed))

    assert change("k") > 2 * change("tʃ")
    assert change("p") == 0


def test_diphthongs_move_from_one_shape_to_the_other() -> None:
    times = np.array([0.34, 0.58])
    curves = mouth_curves(_spoken(["aʊ"], length=0.32), times)
    assert curves.openness[0] > curves.openness[1] + 0.3
    assert curves.rounding[1] > curves.rounding[0] + 0.3


def test_unknown_phones_are_refused() -> None:
    with pytest.raises(BadInput) as caught:
        mouth_curves(_spoken(["nonsense"]), frame_centres(10))
    assert caught.value.code == "speech.unknown_phone"


def test_the_number_of_threads_changes_no_bit() -> None:
    script = (
        "import numpy as np\n"
        "from dubflow.speech.intervals import Interval\n"
        "from dubflow.talkers.visemes import frame_centres, mouth_curves\n"
        "phones = [Interval(start=0.3 + n / 9, end=0.3 + (n + 1) / 9, label='aliseno'[n % 7]) for n in range(90)]\n"
        "curves = mouth_curves(phones, frame_centres(258))\n"
        "print(curves.width.tobytes().hex(), curves.openness.tobytes().hex())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(outputs) == 1
