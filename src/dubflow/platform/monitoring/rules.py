"""Recording rules and alerts, made from the promises and the alerts that stand beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dubflow.platform.monitoring.alert import Alert
from dubflow.platform.monitoring.alerts import GROUPS
from dubflow.platform.monitoring.slos import BURNS, PERIOD, SECONDS, SLOS, WINDOW, WINDOWS, Burn, Moments, Share, Slo

Document = dict[str, Any]
RUNBOOK = "docs/runbook.md"
GOOD = "dubflow:slo_good:bool"
BUDGET = "budget"
_INTERVAL, _SLOWLY = "30s", "5m"


def error_ratio(window: str) -> str:
    """Name of the recorded error ratio over a window."""
    return f"dubflow:slo_errors:ratio_rate{window}"


def files() -> dict[str, Document]:
    """Every file of rules by name, without its ending."""
    made = {f"slo-{slo.name.replace('_', '-')}": _document(f"slo-{slo.name}", _slo_rules(slo)) for slo in SLOS}
    made[f"slo-{BUDGET}"] = _document(f"slo-{BUDGET}", _budget_rules(), _SLOWLY)
    made |= {name: _document(name, [_alert_rule(one) for one in alerts]) for name, alerts in GROUPS.items()}
    return made


def groups() -> list[Document]:
    """All groups of all files, for one PrometheusRule."""
    return [group for document in files().values() for group in document["groups"]]


def alerts() -> Iterator[Alert]:
    """Every alert, those of burn rates included."""
    for slo in SLOS:
        yield from burn_alerts(slo)
    for found in GROUPS.values():
        yield from found


def burn_alerts(slo: Slo) -> Iterator[Alert]:
    """Of a promise that has any; the steepest first."""
    for burn in BURNS if slo.alert else ():
        yield Alert(
            slo.alert,
            _burn(slo, burn),
            "2m",
            burn.severity,
            f"{slo.title}: not so, and the error budget burns {burn.factor:g} times too fast",
            f"{slo.meaning} Objective {100 * slo.objective:g} % of {PERIOD}. Both the last {burn.long} and the last "
            f"{burn.short} are too bad.",
            UNKNOWN[slo.name],
            {"slo": slo.name, "window": burn.long},
        )


UNKNOWN = {
    "api_availability": "DubflowApiUnknown",
    "dub_availability": "DubflowWorkersUnseen",
    "dub_speed": "DubflowWorkersUnseen",
    "queue_age": "DubflowQueueUnknown",
    "quality_drift": "DubflowDriftUnknown",
    "gate_freshness": "DubflowGateUnknown",
}
"""Who fires where a promise's data is missing."""


def _document(name: str, rules: list[Document], interval: str = _INTERVAL) -> Document:
    return {"groups": [{"name": f"dubflow-{name}", "interval": interval, "rules": rules}]}


def _slo_rules(slo: Slo) -> list[Document]:
    labels = {"slo": slo.name}
    made: list[Document] = []
    if isinstance(slo.sli, Moments):
        made.append({"record": GOOD, "expr": slo.sli.good, "labels": labels})
    if slo.alert:
        made += [{"record": error_ratio(window), "expr": _errors(slo, window), "labels": labels} for window in WINDOWS]
    else:
        made.append({"record": error_ratio("5m"), "expr": _errors(slo, "5m"), "labels": labels})
    return made + [_alert_rule(one) for one in burn_alerts(slo)]


def _budget_rules() -> list[Document]:
    """What dashboards show of a whole period; dear, so seldom."""
    made: list[Document] = []
    for slo in SLOS:
        labels = {"slo": slo.name}
        made.append({"record": "dubflow:slo_objective:ratio", "expr": f"vector({slo.objective:g})", "labels": labels})
        made.append({"record": error_ratio(PERIOD), "expr": _errors(slo, PERIOD), "labels": labels})
    left = f"1 - {error_ratio(PERIOD)} / on (slo) group_left () (1 - dubflow:slo_objective:ratio)"
    made.append({"record": "dubflow:slo_budget_left:ratio", "expr": left})
    return made


def _errors(slo: Slo, window: str) -> str:
    """Share of bad events or moments; nothing while there are none at all."""
    if isinstance(slo.sli, Share):
        bad, total = slo.sli.bad.replace(WINDOW, window), slo.sli.total.replace(WINDOW, window)
        return f"(({bad}) or vector(0)) / (({total}) > 0)"
    return f'1 - avg_over_time({GOOD}{{slo="{slo.name}"}}[{window}])'


def _burn(slo: Slo, burn: Burn) -> str:
    limit = f"{round(burn.factor * slo.budget, 6):g}"
    both = [f'{error_ratio(window)}{{slo="{slo.name}"}} > {limit}' for window in (burn.long, burn.short)]
    if isinstance(slo.sli, Share):
        total = slo.sli.total.replace(WINDOW, burn.long)
        both.append(f"on () ({total}) * {SECONDS[burn.long]} >= {slo.sli.least}")
    return " and ".join(both)


def _alert_rule(alert: Alert) -> Document:
    made: Document = {"alert": alert.name, "expr": alert.expr}
    if alert.hold != "0m":
        made["for"] = alert.hold
    made["labels"] = {"severity": alert.severity, **alert.labels}
    made["annotations"] = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{RUNBOOK}#{alert.name.lower()}",
    }
    return made
