"""Metrics that alerts, dashboards and scalers read, against those that somebody counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dubflow.errors import BadInput
from dubflow.platform.monitoring.catalogue import names_in
from dubflow.platform.preflight.findings import Finding, Rule, refused, unchecked, warned
from dubflow.platform.preflight.metrics_known import KnownMetrics
from dubflow.platform.preflight.resources import Manifests, at, bodies
from dubflow.platform.preflight.yaml_files import read

METRIC = Rule(
    "reference.metric",
    "Metrics that alerts, dashboards and scalers read are in a scrape of the running demo, or known of others.",
    "An alert on a metric that nobody counts never fires; a scaler on one never scales.",
)
_LABEL_VALUES = re.compile(r"label_values\(\s*(.+?)\s*,\s*\w+\s*\)$")

Uses = Mapping[str, list[str]]
"""Places, and the expressions that stand there."""


def used_in(manifests: Manifests) -> dict[str, list[str]]:
    """Expressions of an overlay's rules and scalers."""
    found: dict[str, list[str]] = {}
    for one in manifests.of("PrometheusRule"):
        for rule in _rules(one.spec):
            found.setdefault(f"{one.where}, {rule.get('alert') or rule.get('record')}", []).append(
                str(rule.get("expr"))
            )
    for one in manifests.of("ScaledObject", "ScaledJob"):
        for trigger in bodies(one.spec.get("triggers")):
            if trigger.get("type") == "prometheus":
                found.setdefault(one.where, []).append(str(at(trigger, "metadata", "query")))
    return found


def recorded_in(manifests: Manifests) -> set[str]:
    """Names that recording rules of an overlay make."""
    return {
        str(rule["record"]) for one in manifests.of("PrometheusRule") for rule in _rules(one.spec) if "record" in rule
    }


def used_in_files(monitoring: Path) -> tuple[dict[str, list[str]], set[str]]:
    """Expressions of ``rules`` and ``dashboards`` below ``infra/monitoring``, and the names that rules record.

    Raises:
        BadInput: ``platform.bad_yaml``, ``platform.bad_dashboard``.
    """
    found: dict[str, list[str]] = {}
    recorded: set[str] = set()
    for path in sorted((monitoring / "rules").glob("*.y*ml")):
        for document in read(path):
            for rule in _rules(document):
                found.setdefault(f"{path.name}, {rule.get('alert') or rule.get('record')}", []).append(
                    str(rule.get("expr"))
                )
                recorded |= {str(rule["record"])} if "record" in rule else set()
    for path in sorted((monitoring / "dashboards").glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadInput("platform.bad_dashboard", f"{path.name}: {error}.", "Write the dashboards again.") from error
        for where, expression in _panels(content):
            found.setdefault(f"{path.name}, {where}", []).append(expression)
    return found, recorded


def metric(uses: Uses, recorded: set[str], known: KnownMetrics) -> Iterator[Finding]:
    """See :data:`METRIC`. Without any scrape, nothing is known and nothing is passed."""
    if not known.source:
        yield unchecked(METRIC, "infra/monitoring/metrics", "There is no scrape to look into.", "Give --scrape.")
        return
    silent: set[str] = set()
    for where, expressions in uses.items():
        for name in sorted({name for one in expressions for name in names_in(one)}):
            if ":" in name and name not in recorded:
                yield refused(METRIC, where, f"No rule records {name}.", "Correct the name or add the rule.")
            elif ":" in name or name in recorded or known.holds(name):
                continue
            elif name in known.elsewhere:
                silent.add(name)
            else:
                told = f"{name} is counted by nobody (known: {known.source}, and external.yaml)."
                yield refused(METRIC, where, told, "Correct the name, count it, or list it in external.yaml.")
    if silent:
        told = f"Only saved scrapes have {', '.join(sorted(silent))}."
        yield warned(
            METRIC, known.source, told, "Of another process, or of what has not happened yet; else nobody counts them."
        )


def _rules(content: Any) -> Iterator[Mapping[str, Any]]:
    for group in bodies(at(content, "groups")):
        yield from bodies(group.get("rules"))


def _panels(content: Any) -> Iterator[tuple[str, str]]:
    panels = [*bodies(at(content, "panels"))]
    while panels:
        panel = panels.pop()
        panels += bodies(panel.get("panels"))
        for target in bodies(panel.get("targets")):
            if target.get("expr"):
                yield str(panel.get("title")), str(target["expr"])
    for variable in bodies(at(content, "templating", "list")):
        query = variable.get("query")
        text = str(query.get("query") if isinstance(query, Mapping) else query or "")
        if found := _LABEL_VALUES.match(text):
            yield f"variable {variable.get('name')}", found[1]
