"""Dashboards are what Grafana imports, and every panel can be read by who sees it for the first time."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dubflow.platform.monitoring.boards import BOARDS
from dubflow.platform.monitoring.catalogue import OF_PROMETHEUS, known, names_in
from dubflow.platform.monitoring.documents import DASHBOARDS
from dubflow.platform.monitoring.panels import UNITS, WIDE, Board, Panel, Query, Row, dashboard
from dubflow.platform.monitoring.rules import files

SOURCE = {"const": {"type": "prometheus", "uid": "${datasource}"}}
TEXT = {"type": "string", "minLength": 1}
PLACE = {
    "type": "object",
    "required": ["x", "y", "w", "h"],
    "properties": {
        "x": {"type": "integer", "minimum": 0, "maximum": 23},
        "y": {"type": "integer", "minimum": 0},
        "w": {"type": "integer", "minimum": 1, "maximum": 24},
        "h": {"type": "integer", "minimum": 1},
    },
    "additionalProperties": False,
}
TARGET = {
    "type": "object",
    "required": ["refId", "datasource", "expr", "legendFormat", "instant", "range"],
    "properties": {
        "refId": {"pattern": "^[A-Z]$"},
        "datasource": SOURCE,
        "expr": TEXT,
        "legendFormat": {"type": "string"},
        "format": {"const": "table"},
        "instant": {"type": "boolean"},
        "range": {"type": "boolean"},
    },
    "additionalProperties": False,
}
DATA_PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "description", "datasource", "gridPos", "targets", "fieldConfig", "options"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "type": {"enum": ["timeseries", "stat", "table"]},
        "title": TEXT,
        "description": {"type": "string", "minLength": 10},
        "datasource": SOURCE,
        "gridPos": PLACE,
        "targets": {"type": "array", "minItems": 1, "items": TARGET},
        "fieldConfig": {
            "type": "object",
            "required": ["defaults", "overrides"],
            "properties": {
                "defaults": {
                    "type": "object",
                    "required": ["unit", "thresholds"],
                    "properties": {
                        "unit": {"enum": list(UNITS)},
                        "thresholds": {
                            "type": "object",
                            "properties": {
                                "mode": {"const": "absolute"},
                                "steps": {"type": "array", "minItems": 1},
                            },
                        },
                        "custom": {"type": "object"},
                    },
                    "additionalProperties": False,
                },
                "overrides": {"type": "array"},
            },
            "additionalProperties": False,
        },
        "options": {"type": "object"},
    },
    "additionalProperties": False,
}
ROW = {
    "type": "object",
    "required": ["id", "type", "title", "collapsed", "gridPos", "panels"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "type": {"const": "row"},
        "title": TEXT,
        "collapsed": {"const": False},
        "gridPos": PLACE,
        "panels": {"const": []},
    },
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "templating", "time", "panels", "annotations"],
    "properties": {
        "uid": {"pattern": "^[a-z-]{1,40}$"},
        "title": TEXT,
        "schemaVersion": {"const": 39},
        "panels": {"type": "array", "minItems": 2, "items": {"oneOf": [ROW, DATA_PANEL]}},
    },
}
NAMES = sorted(BOARDS)


def written(repository: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((repository / DASHBOARDS / f"{name}.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_grafana_imports(repository: Path, name: str) -> None:
    found = written(repository, name)
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(found)] == []
    (variable,) = found["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    panels = found["panels"]
    assert len({one["id"] for one in panels}) == len(panels)
    for panel in panels:
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(references)) == len(references)
        if panel["type"] != "row":
            steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
            assert steps[0] is None
            assert steps[1:] == sorted(set(steps[1:])), panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_panels_neither_overlap_nor_leave_the_page(repository: Path, name: str) -> None:
    places = [one["gridPos"] for one in written(repository, name)["panels"]]
    for one in places:
        assert one["x"] + one["w"] <= WIDE
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_asks_for_what_exists_and_names_its_series(repository: Path, name: str) -> None:
    metrics = known(repository)
    rules = [rule for one in files().values() for group in one["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    for panel in BOARDS[name].panels:
        for query in panel.queries:
            assert names_in(query.expr), panel.title
            assert names_in(query.expr) <= set(metrics) | recorded | OF_PROMETHEUS, panel.title
            labels = set(re.findall(r"{{(\w+)}}", query.legend))
            grouped = {
                one.strip() for inside in re.findall(r"\bby \(([^)]*)\)", query.expr) for one in inside.split(",")
            }
            assert labels <= grouped | {"slo"}, f"{panel.title}: {query.legend} is not kept by the query"
            assert query.legend or panel.kind == "table", panel.title
    titles = [panel.title for panel in BOARDS[name].panels]
    assert len(set(titles)) == len(titles)


def test_all_of_ours_is_shown_somewhere(repository: Path) -> None:
    shown = {
        name
        for board in BOARDS.values()
        for panel in board.panels
        for one in panel.queries
        for name in names_in(one.expr)
    }
    bare = {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown}
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in known(repository) if name.startswith("dubflow_")}
    assert ours <= bare, "a metric that nobody looks at"


def test_a_row_that_is_full_goes_on_below() -> None:
    panels = tuple(Panel(f"p{number}", "d", "short", (Query("up", "x"),), width=10) for number in range(3))
    found = dashboard(Board("u", "t", "d", (Row("a", panels), Row("b", panels[:1]))))["panels"]
    assert [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in found] == [
        (0, 0), (0, 1), (10, 1), (0, 9), (0, 17), (0, 18),
    ]  # fmt: skip
