"""Rules use what exists, alert on what they say, and leave nothing unwatched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from dubflow.gateway.jobs.queue import Ending
from dubflow.gateway.metric_table import BY_NAME
from dubflow.gateway.scraping import _STATES
from dubflow.platform.monitoring.alerts import GROUPS
from dubflow.platform.monitoring.catalogue import OF_PROMETHEUS, Known, externals, known, names_in
from dubflow.platform.monitoring.rules import RUNBOOK, alerts, error_ratio, files
from dubflow.platform.monitoring.slos import BURNS, SECONDS, SLOS, SLOW, WINDOWS

_MATCHER = re.compile(r"([A-Za-z_:][\w:]*)\{([^}]*)\}")
_PAIR = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
_ADDED = {"job", "instance", "slo", "namespace", "alertname", "alertstate", "severity"}
"""Labels that Prometheus, its operator or our own rules add."""


def _rules() -> list[dict[str, Any]]:
    return [rule for document in files().values() for group in document["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def metrics(repository: Path) -> dict[str, Known]:
    return known(repository)


def test_every_metric_of_a_rule_is_scraped_known_or_recorded(metrics: dict[str, Known]) -> None:
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    for rule in _rules():
        unknown = names_in(rule["expr"]) - recorded - OF_PROMETHEUS - set(metrics)
        assert not unknown, rule
    used = {name for rule in _rules() for name in names_in(rule["expr"])}
    assert {f"dubflow_{name}" for name in ("queue_oldest_seconds", "drift_alarm", "job_faults_total")} <= used


def test_labels_that_rules_choose_and_group_by_exist(metrics: dict[str, Known]) -> None:
    for rule in _rules():
        for name, inside in _MATCHER.findall(rule["expr"]):
            if name in metrics:
                assert {label for label, _ in _PAIR.findall(inside)} <= metrics[name].labels | _ADDED, rule
        of_all = {label for name in names_in(rule["expr"]) & set(metrics) for label in metrics[name].labels}
        for inside in _GROUPED.findall(rule["expr"]):
            assert {one.strip() for one in inside.split(",")} <= of_all | _ADDED, rule


def test_values_that_rules_choose_are_values_that_are_written(metrics: dict[str, Known]) -> None:
    allowed = {
        "dubflow_job_attempts_total": set(get_args(Ending)),
        "dubflow_jobs": set(_STATES),
        "dubflow_webhook_deliveries_total": set(BY_NAME["dubflow_webhook_deliveries_total"].begins),
        "dubflow_dub_seconds_per_clip_second_bucket": set(metrics["dubflow_dub_seconds_per_clip_second_bucket"].bounds),
    }
    seen = set()
    for rule in _rules():
        for name, inside in _MATCHER.findall(rule["expr"]):
            for _, value in _PAIR.findall(inside):
                if name in allowed:
                    assert set(value.split("|")) <= allowed[name], rule
                    seen.add(name)
    assert seen == set(allowed)
    assert SLOW in metrics["dubflow_dub_seconds_per_clip_second_bucket"].bounds
    assert set(BY_NAME["dubflow_job_attempts_total"].begins) == set(get_args(Ending))


def test_what_others_measure_is_listed_because_it_is_used(repository: Path) -> None:
    from dubflow.platform.monitoring.boards import BOARDS

    used = {name for rule in _rules() for name in names_in(rule["expr"])}
    used |= {
        name
        for board in BOARDS.values()
        for panel in board.panels
        for one in panel.queries
        for name in names_in(one.expr)
    }
    assert {name for one in externals(repository) for name in one.metrics} <= used


def test_every_alert_says_how_urgent_it_is_where_to_read_on_and_who_watches_its_data() -> None:
    found = list(alerts())
    names = {one.name for one in found}
    assert len(names) > 20
    for one in found:
        assert one.severity in ("page", "ticket")
        assert one.without in names, one.name
        assert re.fullmatch(r"\d+[mh]", one.hold)
        assert re.fullmatch(r"Dubflow[A-Za-z]+", one.name)
    for rule in _rules():
        if "alert" in rule:
            assert rule["annotations"]["runbook_url"] == f"{RUNBOOK}#{rule['alert'].lower()}"


def test_rules_of_one_name_differ_in_a_label_and_a_name_has_one_home() -> None:
    rules = [rule for rule in _rules() if "alert" in rule]
    assert len({(one["alert"], str(sorted(one["labels"].items()))) for one in rules}) == len(rules)
    homes = [{one.name for one in found} for found in GROUPS.values()]
    assert sum(map(len, homes)) == len(set().union(*homes))


def test_who_watches_missing_data_does_so_by_itself() -> None:
    """Chains end: an alert on missing data looks for absence itself."""
    by_name = {one.name: one for one in alerts()}
    for one in alerts():
        assert "absent(" in by_name[one.without].expr, f"{one.name} is left to {one.without}, which sees no absence"


def test_burn_rates_spend_what_they_say() -> None:
    """A factor over its long window is a share of the month's budget: 2 %, 5 %, 10 %, 10 %."""
    month = 30 * 86400
    spent = [burn.factor * SECONDS[burn.long] / month for burn in BURNS]
    assert spent == pytest.approx([0.02, 0.05, 0.1, 0.1])
    for burn in BURNS:
        assert SECONDS[burn.long] == 12 * SECONDS[burn.short]
        assert {burn.long, burn.short} <= set(WINDOWS)
    for slo in SLOS:
        assert 0 < slo.objective < 1
        assert all(burn.factor * slo.budget < 1 for burn in BURNS) or not slo.alert, "no error ratio reaches that"


def test_every_window_that_an_alert_reads_is_recorded_for_its_promise() -> None:
    for slo in SLOS:
        (document,) = [one for name, one in files().items() if name == f"slo-{slo.name.replace('_', '-')}"]
        rules = document["groups"][0]["rules"]
        recorded = {rule["record"] for rule in rules if "record" in rule and rule["labels"]["slo"] == slo.name}
        for rule in rules:
            if "alert" in rule:
                assert names_in(rule["expr"]) & {error_ratio(one) for one in WINDOWS} <= recorded
    assert {slo.name for slo in SLOS} == {
        "api_availability", "dub_availability", "dub_speed", "queue_age", "quality_drift", "gate_freshness",
    }  # fmt: skip
