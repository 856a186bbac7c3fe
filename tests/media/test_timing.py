"""The arithmetic of presentation times, apart from any file."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.media.timing import COMMON_RATES, constant_rate, frame_map, resampled_count

FILM, TELEVISION, NTSC = Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001)
rates = st.sampled_from([*COMMON_RATES, Fraction(1000, 37), Fraction(7, 3)])


def ticks_of(count: int, rate: Fraction, time_base: Fraction) -> list[int]:
    """Each frame's exact time rounded to the nearest tick, as a muxer does."""
    return [round(index / (rate * time_base)) for index in range(count + 1)]


@given(rate=rates, count=st.integers(1, 400), time_base=st.sampled_from([Fraction(1, 1000), Fraction(1, 90000)]))
@settings(deadline=None, max_examples=60)
def test_the_same_rate_shows_every_frame_once_even_with_rounded_timestamps(rate, count, time_base):
    *ticks, end = ticks_of(count, rate, time_base)
    assert frame_map(ticks, end, time_base, rate).tolist() == list(range(count))


@given(
    gaps=st.lists(st.integers(1, 9000), min_size=1, max_size=60),
    start=st.integers(-(10**6), 10**6),
    fps=rates,
)
@settings(deadline=None, max_examples=100)
def test_each_output_frame_shows_what_the_source_shows_just_before_the_middle_of_its_interval(gaps, start, fps):
    time_base = Fraction(1, 30000)
    ticks = [start + sum(gaps[:index]) for index in range(len(gaps))]
    end = start + sum(gaps)
    shown = frame_map(ticks, end, time_base, fps)
    assert (np.diff(shown) >= 0).all()
    for index, source in enumerate(shown):
        moment = start + (index + Fraction(9, 20)) / fps / time_base
        assert source == max(i for i, tick in enumerate(ticks) if tick <= moment)
    duration = (end - start) * time_base
    assert abs(len(shown) - duration * fps) <= Fraction(11, 20) or len(shown) == 1


def test_known_maps():
    base = Fraction(1, 90000)

    def mapped(count: int, rate: Fraction, fps: Fraction) -> list[int]:
        *ticks, end = ticks_of(count, rate, base)
        return frame_map(ticks, end, base, fps).tolist()

    assert mapped(10, Fraction(50), TELEVISION) == [0, 2, 4, 6, 8]
    assert mapped(6, Fraction(30), TELEVISION) == [0, 1, 2, 4, 5]
    assert mapped(5, Fraction(25, 2), TELEVISION) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    # In one second of film every 24th frame is shown twice, but for the thousandth that film is slower.
    film = mapped(24, FILM, TELEVISION)
    assert len(film) == 25
    assert sorted(set(film)) == list(range(24))


def test_an_hour_of_ntsc_does_not_drift():
    count = 107892  # frames in 3600 s and a little less, at 30000/1001
    ticks = np.arange(count + 1) * 1001
    shown = frame_map(ticks[:-1].tolist(), int(ticks[-1]), Fraction(1, 30000), TELEVISION)
    assert len(shown) == round(count * Fraction(1001, 30000) * 25)
    assert shown[-1] in (count - 1, count - 2)
    assert shown[45000] == int((Fraction(45000) + Fraction(9, 20)) / 25 * NTSC)


@pytest.mark.parametrize("rate", COMMON_RATES)
@pytest.mark.parametrize("time_base", [Fraction(1, 1000), Fraction(1, 90000)])
def test_a_constant_rate_is_named_exactly_through_rounded_timestamps(rate, time_base):
    ticks = ticks_of(3000, rate, time_base)
    # The claim is a near miss, as a container that rounds would make it.
    claims = [Fraction(round(rate * 100), 100)]
    assert constant_rate(ticks, time_base, claims) == rate


def test_a_variable_rate_has_no_constant_one():
    base = Fraction(1, 1000)
    steady = [index * 40 for index in range(100)]
    assert constant_rate(steady, base, []) == 25
    assert constant_rate([*steady, steady[-1] + 90], base, [TELEVISION]) is None
    dropped = steady[:50] + steady[51:]
    assert constant_rate(dropped, base, [TELEVISION]) is None


def test_huge_ticks_leave_no_overflow():
    base = Fraction(1, 10**9 + 7)
    step = 10**16
    assert constant_rate([0, step, 2 * step], base, []) == Fraction(10**9 + 7, step)


@given(samples=st.integers(0, 10**9), rate=st.integers(1, 400000), new_rate=st.integers(1, 400000))
def test_resampled_counts_are_the_rounded_quotient(samples, rate, new_rate):
    exact = Fraction(samples * new_rate, rate)
    assert abs(resampled_count(samples, rate, new_rate) - exact) <= Fraction(1, 2)
    assert resampled_count(samples, rate, rate) == samples
