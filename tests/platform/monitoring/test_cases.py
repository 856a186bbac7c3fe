"""The tests that promtool runs leave no rule untested, and their data is what it says."""

from __future__ import annotations

from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.platform.monitoring.alert_cases import CASES
from dubflow.platform.monitoring.cases import _spread, _sums, burn_cases, unit_tests
from dubflow.platform.monitoring.rules import alerts
from dubflow.platform.monitoring.slos import SLOS

EVERY = [*CASES, *chain.from_iterable(burn_cases(slo) for slo in SLOS if slo.alert)]


def test_every_rule_is_seen_to_fire() -> None:
    fired = {
        (one["alertname"], str(sorted(expected["exp_labels"].items())))
        for file in unit_tests().values()
        for test in file["tests"]
        for one in test["alert_rule_test"]
        for expected in one["exp_alerts"]
    }
    for alert in alerts():
        own = {"severity": alert.severity, **alert.labels}
        assert any(name == alert.name and all(str(pair) in text for pair in own.items()) for name, text in fired), alert


@pytest.mark.parametrize("name", sorted({one.name for one in alerts()}))
def test_every_alert_is_seen_quiet_and_without_data(name: str) -> None:
    assert any(one.alert == name and one.fires for one in EVERY)
    assert any(one.alert == name and not one.fires for one in EVERY)
    vanished = [
        test
        for file in unit_tests().values()
        for test in file["tests"]
        if test["name"] == f"{name}: healthy data that vanishes"
    ]
    (asked,) = [one["alert_rule_test"] for one in vanished]
    assert asked[0]["exp_alerts"], "somebody notices"
    assert all(not one["exp_alerts"] for one in asked[1:]), "and the alert itself cries no wolf"


@given(st.floats(0, 1), st.integers(1, 300))
@settings(deadline=None, max_examples=60)
def test_bad_minutes_are_as_many_as_asked_and_evenly_spread(share: float, minutes: int) -> None:
    bad = list(_spread([(share, minutes)]))
    assert len(bad) == minutes
    for end in range(minutes + 1):
        assert abs(sum(bad[:end]) - share * end) < 1 + 1e-6


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50)), min_size=1, max_size=4))
@settings(deadline=None, max_examples=60)
def test_counters_rise_by_what_each_part_asks_and_never_fall(parts: list[tuple[int, int]]) -> None:
    values: list[float] = []
    for text in _sums([(float(rise), minutes) for rise, minutes in parts]).split():
        first, _, rest = text.partition("+")
        rise, _, times = rest.partition("x")
        values += [float(first) + float(rise) * number for number in range(int(times) + 1)]
    assert len(values) == sum(minutes for _, minutes in parts)
    steps = [later - sooner for sooner, later in pairwise(values)]
    wanted = [float(rise) for rise, minutes in parts for _ in range(minutes)]
    assert steps == pytest.approx(wanted[: len(steps)])
