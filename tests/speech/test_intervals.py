from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.errors import BadInput
from dubflow.speech.intervals import Interval, boundaries, filled, index_at, is_contiguous, scaled, shifted


def spans(*triples: tuple[float, float, str]) -> list[Interval]:
    return [Interval(start=a, end=b, label=c) for a, b, c in triples]


@pytest.mark.parametrize(("start", "end"), [(1.0, 0.5), (-0.1, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_impossible_times_are_refused(start: float, end: float) -> None:
    with pytest.raises(ValidationError):
        Interval(start=start, end=end, label="a")


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        Interval(start=0, end=1, label="a", speaker="x")  # type: ignore[call-arg]


def test_gaps_become_silence() -> None:
    cover = filled(spans((0.2, 0.5, "a"), (0.5, 0.7, "b"), (0.9, 1.0, "c")), 1.2)
    assert [(i.start, i.end, i.label) for i in cover] == [
        (0.0, 0.2, ""), (0.2, 0.5, "a"), (0.5, 0.7, "b"), (0.7, 0.9, ""), (0.9, 1.0, "c"), (1.0, 1.2, ""),
    ]  # fmt: skip


def test_tiny_gaps_are_closed_and_the_end_is_exact() -> None:
    cover = filled(spans((0.0, 0.5, "a"), (0.5000004, 0.9999997, "b")), 1.0)
    assert [i.label for i in cover] == ["a", "b"]
    assert is_contiguous(cover, 1.0)


@pytest.mark.parametrize("bad", [spans((0, 0.6, "a"), (0.5, 1, "b")), spans((0, 1.5, "a"))])
def test_overlaps_and_overruns_are_refused(bad: list[Interval]) -> None:
    with pytest.raises(BadInput) as caught:
        filled(bad, 1.0)
    assert caught.value.code == "speech.intervals_overlap"


def test_nothing_fills_up_to_one_silence() -> None:
    assert filled([], 2.0) == spans((0, 2, ""))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), max_size=20), st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_filled_always_covers_everything(parts: list[tuple[float, float]], tail: float) -> None:
    now, given_spans = 0.0, []
    for gap, length in parts:
        given_spans.append(Interval(start=now + gap, end=now + gap + length, label="x"))
        now += gap + length
    total = now + tail
    cover = filled(given_spans, total)
    assert is_contiguous(cover, total, tolerance=1e-6)
    spoken = sum(i.duration for i in cover if not i.silent)
    assert spoken == pytest.approx(sum(i.duration for i in given_spans), abs=1e-4)


def test_boundaries_need_contiguous_spans() -> None:
    assert boundaries(spans((0, 0.5, "a"), (0.5, 1, ""))).tolist() == [0, 0.5, 1]
    with pytest.raises(BadInput, match="gaps"):
        boundaries(spans((0, 0.4, "a"), (0.5, 1, "")))


def test_index_at_takes_starts_and_leaves_ends() -> None:
    found = index_at(spans((0.0, 0.5, "a"), (0.7, 1.0, "b")), [0.0, 0.49, 0.5, 0.7, 1.0])
    assert found.tolist() == [0, 0, -1, 1, -1]
    assert index_at([], [0.1]).tolist() == [-1]


def test_shifting_and_scaling() -> None:
    moved = scaled(shifted(spans((0.0, 0.5, "a")), 1.0), 2.0)
    assert (moved[0].start, moved[0].end) == (2.0, 3.0)
    assert np.isclose(moved[0].duration, 1.0)
