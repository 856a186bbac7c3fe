"""promtool's unit tests, made for every alert: it fires, it is quiet, and when its data vanishes somebody says so."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dubflow.platform.monitoring.alert import Alert
from dubflow.platform.monitoring.alert_cases import CASES, Case
from dubflow.platform.monitoring.alerts import GROUPS
from dubflow.platform.monitoring.rules import RUNBOOK, alerts, burn_alerts, files
from dubflow.platform.monitoring.slos import BURNS, SLOS, SLOW, Moments, Slo

Document = dict[str, Any]
_VANISHED_AT, _FORGOTTEN, _SPARE = 20, 6, 4
"""Minutes: when healthy data ends, until Prometheus calls it gone, and some more."""
_NEEDED: dict[str, dict[str, str]] = {
    "DubflowWorkersUnseen": {"dubflow_queue_jobs": "3+0x200"},
    "DubflowDriftUnknown": {"dubflow_dubbed_clip_seconds_total": "0+5x200"},
    "DubflowGpuUnknown": {'kube_node_status_allocatable{node="n",resource="nvidia_com_gpu"}': "8+0x200"},
}
"""What else must be so for an alert on missing data to fire."""
_ADDED = {"DubflowClusterUnknown": {"namespace": "dubflow"}}
"""Labels that ``absent`` takes from its selector."""


def unit_tests() -> dict[str, Document]:
    """Every file of tests by the name of the file of rules that it is about."""
    made = {f"slo-{slo.name.replace('_', '-')}": _file(burn_cases(slo)) for slo in SLOS if slo.alert}
    return made | {name: _file(_of(name)) for name in GROUPS}


def _of(group: str) -> list[Case]:
    names = {one.name for one in GROUPS[group]}
    return [one for one in CASES if one.alert in names]


def burn_cases(slo: Slo) -> list[Case]:
    """Burn rates between the factors, so that each rule is seen to fire and not to; a burst; an outage that ended."""
    made = []
    for factor in (20.0, 8.0, 4.0, 1.5, 0.5):
        bad = min(1.0, factor * slo.budget)
        # Of moments there must be enough that so small a share of them is one at all.
        minutes = min(200, max(40, math.ceil(6 / bad))) if isinstance(slo.sli, Moments) else 40
        firing = tuple({"window": burn.long} for burn in BURNS if bad > burn.factor * slo.budget)
        what = f"the budget burns {factor:g} times too fast"
        made.append(Case(slo.alert, what, _feed(slo, [(bad, minutes + 5)]), minutes, firing))
    worst = min(1.0, 20 * slo.budget)
    burst = _feed(slo, [(0.0, 180), (worst, 8), (0.0, 5)])
    made.append(Case(slo.alert, "eight bad minutes after three good hours", burst, 188))
    ended = _feed(slo, [(worst, 60), (0.0, 45)])
    tickets = tuple({"window": burn.long} for burn in BURNS if burn.severity == "ticket")
    made.append(Case(slo.alert, "a bad hour has ended: nobody is woken any more", ended, 100, tickets))
    if not isinstance(slo.sli, Moments):
        few = _feed(slo, [(1.0, 45)], each=0.1)
        made.append(Case(slo.alert, "all is bad, and too little to say", few, 40))
    return made


def _feed(slo: Slo, parts: list[tuple[float, int]], each: float = 1000) -> dict[str, str]:
    """Series of a promise with these shares of bad ones for so many minutes, ``each`` of which has so many events."""
    if slo.name == "queue_age":
        return {"dubflow_queue_oldest_seconds": " ".join("900" if bad else "5" for bad in _spread(parts))}
    good, bad = _sums([(each * (1 - share), n) for share, n in parts]), _sums([(each * share, n) for share, n in parts])
    if slo.name == "api_availability":
        route = 'method="POST",route="/v1/dubs"'
        return {
            f'dubflow_http_requests_total{{{route},status="202"}}': good,
            f'dubflow_http_requests_total{{{route},status="503"}}': bad,
            # Probes that fail count for nothing.
            'dubflow_http_requests_total{method="GET",route="/readyz",status="503"}': "0+9000x500",
        }
    if slo.name == "dub_availability":
        return {'dubflow_job_attempts_total{outcome="done"}': good, "dubflow_job_faults_total": bad}
    if slo.name == "dub_speed":
        metric, every = "dubflow_dub_seconds_per_clip_second", _sums([(each, n) for _, n in parts])
        return {f"{metric}_count": every, f'{metric}_bucket{{le="{SLOW}"}}': good}
    raise ValueError(f"{slo.name} has no data to be tested on")


def _sums(parts: list[tuple[float, int]]) -> str:
    """A counter that rises by so much a minute."""
    begun, told = 0.0, []
    for rise, minutes in parts:
        told.append(f"{begun:.10g}+{rise:.10g}x{minutes - 1}")
        begun += rise * minutes
    return " ".join(told)


def _spread(parts: list[tuple[float, int]]) -> Iterator[bool]:
    """Bad minutes among good ones, evenly."""
    for share, minutes in parts:
        for number in range(minutes):
            yield math.floor((number + 1) * share + 1e-9) > math.floor(number * share + 1e-9)


def _file(cases: list[Case]) -> Document:
    """A file of tests: the cases, and for each alert healthy data that vanishes."""
    healthy = {one.alert: one for one in reversed(cases) if not one.fires}
    found = [_test(one) for one in cases] + [_vanishing(one) for one in healthy.values()]
    named = {one.alert for one in cases} | {_rules(one.alert)[0].without for one in cases}
    return {
        "rule_files": [f"../rules/{name}.yaml" for name in sorted({_home(one) for one in named})],
        "evaluation_interval": "1m",
        "tests": found,
    }


def _test(case: Case) -> Document:
    expected = [_expected(_rule(case.alert, labels), labels) for labels in case.fires]
    return _asked(case.alert, case.what, case.series, [(case.at, case.alert, expected)])


def _vanishing(case: Case) -> Document:
    """Healthy data that ends: the alert itself is quiet, unless it is the one that notices, and its partner fires."""
    partner = _rules(case.alert)[0].without
    series = {name: _cut(values) for name, values in case.series.items()} | _NEEDED.get(partner, {})
    expected = [_expected(one, _ADDED.get(partner, {})) for one in _rules(partner)]
    at = _VANISHED_AT + _FORGOTTEN + max(map(_minutes, _rules(partner))) + _SPARE
    asked = [(at, partner, expected)] + ([(at, case.alert, [])] if partner != case.alert else [])
    return _asked(case.alert, "healthy data that vanishes", series, asked)


def _cut(values: str) -> str:
    """The first minutes of a series alone."""
    first = values.split()[0]
    if "x" not in first:
        return " ".join(values.split()[:_VANISHED_AT])
    return f"{first.partition('x')[0]}x{_VANISHED_AT}"


def _asked(alert: str, what: str, series: Mapping[str, str], asked: list[tuple[int, str, list[Document]]]) -> Document:
    return {
        "name": f"{alert}: {what}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{at}m", "alertname": name, "exp_alerts": expected} for at, name, expected in asked
        ],
    }


def _expected(rule: Alert, labels: Mapping[str, str]) -> Document:
    every = {**labels, "severity": rule.severity, **rule.labels}

    def told(text: str) -> str:
        return re.sub(r"{{ \$labels\.(\w+) }}", lambda found: every[found.group(1)], text)

    annotations = {"summary": told(rule.summary), "description": told(rule.description)}
    return {
        "exp_labels": every,
        "exp_annotations": annotations | {"runbook_url": f"{RUNBOOK}#{rule.name.lower()}"},
    }


def _minutes(rule: Alert) -> int:
    """For how long it must be so."""
    return int(rule.hold[:-1]) * (60 if rule.hold.endswith("h") else 1)


def _rules(name: str) -> list[Alert]:
    return [one for one in alerts() if one.name == name]


def _rule(name: str, labels: Mapping[str, str]) -> Alert:
    """The rule of this name whose own labels agree with these."""
    fits = [
        one
        for one in _rules(name)
        if all(
            labels.get(key, value) == value for key, value in ({"severity": one.severity} | dict(one.labels)).items()
        )
    ]
    (found,) = fits
    return found


def _home(alert: str) -> str:
    """The file of rules that an alert stands in."""
    burning = {one.name: f"slo-{slo.name.replace('_', '-')}" for slo in SLOS for one in burn_alerts(slo)}
    grouped = {one.name: group for group, found in GROUPS.items() for one in found}
    home = (burning | grouped)[alert]
    assert home in files()
    return home
