"""Grafana's JSON from a few facts: panels are laid out in rows, and every one has a unit, a description and a source.

The model is that of Grafana 10 and newer (``schemaVersion`` 39). The data source is a variable, so a dashboard fits any
installation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Document = dict[str, Any]
Kind = Literal["timeseries", "stat", "table"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = ("short", "percentunit", "percent", "s", "ops", "reqps", "bytes", "celsius", "watt", "bool")
"""Of Grafana's unit ids, those that are used here."""
SCHEMA, WIDE = 39, 24
_HIGH: dict[Kind, int] = {"timeseries": 8, "stat": 4, "table": 8}


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how its series are named (``{{label}}``)."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        description: what it shows and when to worry. width: of 24.
        limits: values at which it turns orange and red; going down where the first is the larger one.
        stacked: whether areas lie on top of one another.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 8
    limits: tuple[float, float] | None = None
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)


def dashboard(board: Board) -> Document:
    """As Grafana imports it."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["dubflow"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                    "hide": 0,
                    "multi": False,
                    "includeAll": False,
                }
            ]
        },
        "annotations": {"list": [_alerts()]},
        "links": [],
        "panels": _laid_out(board.rows),
    }


def _alerts() -> Document:
    """Firing alerts as marks in every graph."""
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Dubflow.*",alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
    }


def _laid_out(rows: Sequence[Row]) -> list[Document]:
    made: list[Document] = []
    top = 0
    for row in rows:
        made.append(
            {
                "id": len(made) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": WIDE, "h": 1},
                "panels": [],
            }
        )
        top += 1
        left = high = 0
        for panel in row.panels:
            if left + panel.width > WIDE:
                left, top, high = 0, top + high, 0
            place = {"x": left, "y": top, "w": panel.width, "h": _HIGH[panel.kind]}
            made.append(_panel(panel, len(made) + 1, place))
            left, high = left + panel.width, max(high, _HIGH[panel.kind])
        top += high
    return made


def _panel(panel: Panel, number: int, place: dict[str, int]) -> Document:
    table = panel.kind == "table"
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                "instant": panel.kind != "timeseries",
                "range": panel.kind == "timeseries",
                **({"format": "table"} if table else {}),
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel.kind),
    }


def _defaults(panel: Panel) -> Document:
    made: Document = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": _steps(panel.limits)}}
    if panel.kind == "timeseries":
        made["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 0,
            "spanNulls": False,  # what is missing shall look missing
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if panel.limits else "off"},
        }
    return made


def _steps(limits: tuple[float, float] | None) -> list[Document]:
    if limits is None:
        return [{"color": "green", "value": None}]
    first, second = limits
    colours = ("green", "orange", "red") if first <= second else ("red", "orange", "green")
    return [
        {"color": colours[0], "value": None},
        {"color": colours[1], "value": min(limits)},
        {"color": colours[2], "value": max(limits)},
    ]


def _options(kind: Kind) -> Document:
    if kind == "timeseries":
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "textMode": "auto",
        }
    return {"showHeader": True, "cellHeight": "sm"}
