"""What waits to be sent is on disk, in order, whatever happened to the process that put it there."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import WrongUse
from dubflow.registry.outbox import Outbox, Point

POINTS = st.builds(Point, st.text(min_size=1), st.floats(allow_nan=False), st.integers(0, 10**9), st.integers(0, 2**50))


@given(st.lists(st.lists(POINTS, max_size=4), max_size=6))
@settings(deadline=None, max_examples=40)
def test_points_come_back_in_the_order_they_were_put_in(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[Point]]
) -> None:
    root = tmp_path_factory.mktemp("box") / "outbox"
    for group in groups:
        Outbox(root).add_points(group)
    assert list(Outbox(root).points()) == [point for group in groups for point in group]
    assert bool(Outbox(root)) == any(groups)


def test_nan_survives(tmp_path: Path) -> None:
    Outbox(tmp_path / "o").add_points([Point("a", math.nan, 1, 2)])
    (point,) = Outbox(tmp_path / "o").points()
    assert math.isnan(point.value)


@pytest.mark.parametrize("cut", [1, 5, 20, 40])
def test_half_a_row_loses_itself_only(tmp_path: Path, cut: int) -> None:
    box, points = Outbox(tmp_path / "o"), [Point("a", float(step), step, 0) for step in range(4)]
    box.add_points(points[:2])
    path = tmp_path / "o" / "points.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    box.add_points(points[2:])
    assert [point for point in box.points() if point != points[1]] == [points[0], *points[2:]]


def test_a_file_of_the_same_name_replaces_the_earlier_and_others_stay(tmp_path: Path) -> None:
    box, source = Outbox(tmp_path / "o"), tmp_path / "a.png"
    for content, folder in ((b"1", ""), (b"2", "x/y"), (b"3", "x/y")):
        source.write_bytes(content)
        box.add_file(source, folder)
    assert [(path.read_bytes(), folder) for path, folder in box.files()] == [(b"1", ""), (b"3", "x/y")]
    assert box.counts() == (0, 2)
    with pytest.raises(WrongUse):
        box.add_file(source, "../x")


def test_parameters_are_joined_and_everything_is_forgotten_when_sent(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "o")
    box.add_parameters({"a": "1", "b": "2"})
    box.add_parameters({"b": "3"})
    assert box.parameters() == {"a": "1", "b": "3"}
    box.clear()
    assert not box
    assert box.parameters() == {}
    assert list(box.files()) == []
