"""Progress tells the truth about the time left."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.progress import Estimate, human_seconds, reporting


@given(total=st.integers(2, 500), cached=st.integers(0, 400), worked=st.integers(1, 400), pace=st.floats(0.01, 100))
def test_a_steady_pace_is_extrapolated_exactly_and_found_items_cost_nothing(
    total: int, cached: int, worked: int, pace: float
) -> None:
    total += cached + worked
    estimate = Estimate(total, done=cached + worked, cached=cached, started=0.0)
    left = estimate.remaining_s(now=worked * pace)
    assert left == pytest.approx((total - cached - worked) * pace)


def test_no_estimate_before_anything_was_really_done() -> None:
    estimate = Estimate(10, done=4, cached=4)
    assert estimate.remaining_s() is None
    assert "left" not in estimate.sentence("render", "clips")
    assert "4 found done" in estimate.sentence("render", "clips")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (80, "1 min 20 s"), (7500, "2 h 05 min")]
)
def test_times_read_well(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text


def test_a_log_gets_a_first_and_a_last_line_with_the_counts() -> None:
    log = io.StringIO()
    with reporting("prepare", 3, "clips", stream=log) as report:
        report.advance(cached=True)
        report.advance(2)
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("prepare: 0/3 clips (0 %)")
    assert lines[-1].startswith("prepare: 3/3 clips (100 %), 1 found done")


def test_a_total_that_is_learned_later_is_told_and_counted() -> None:
    log = io.StringIO()
    with reporting("import", None, "clips", stream=log) as report:
        report.expect(2)
        report.advance(2)
    lines = log.getvalue().splitlines()
    assert lines[0] == "import: looking for clips"
    assert lines[1].startswith("import: 0/2 clips")
    assert lines[-1].startswith("import: 2/2 clips (100 %)")


def test_reports_stay_off_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting("spell", 3, "letters") as report:
        report.advance(3)
    captured = capsys.readouterr()
    assert captured.out == "", "standard output belongs to --json"
    assert "spell: 3/3 letters" in captured.err
