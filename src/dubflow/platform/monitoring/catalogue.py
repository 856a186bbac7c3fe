"""Which metrics there are: those of a real scrape that lies in ``infra/monitoring/metrics``, and those of others.

A scrape is kept as names, kinds and labels (``gateway.txt``, ``worker.txt``, ``triton.txt``, ``telemetry.txt``), in
Prometheus' own format, written by ``tools/monitoring_live.py``. ``external.yaml`` lists what a cluster measures and a
laptop cannot: by whom, of which version, read where.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import Field

from dubflow.config import Strict

METRICS = "infra/monitoring/metrics"
EXTERNAL = "external.yaml"
OF_PROMETHEUS = frozenset({"up", "ALERTS"})
"""What Prometheus itself makes."""
_BOUND = "le"
_OF_THE_PROCESS = ("process_", "python_")
_PARTS = ("", "_bucket", "_sum", "_count")
_KIND = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})? [^ \n]+(?: \d+)?$", re.MULTILINE)
_PAIR = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_LABELS = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_NAME = re.compile(r"(?<![\w:.$])[A-Za-z_:][\w:]*(?!\s*\()(?![\w:])")
_WORDS = frozenset(
    {"and", "or", "unless", "bool", "offset", "inf", "nan", "by", "without", "group_left", "group_right"}
)


@dataclass(frozen=True)
class Known:
    """One metric.

    Attributes:
        source: file or system that has it. labels: their names, those that Prometheus adds left out.
        bounds: of a histogram's buckets, as they are written.
    """

    source: str
    labels: frozenset[str]
    bounds: frozenset[str] = frozenset()


class External(Strict):
    """What one system of a cluster measures."""

    system: str = Field(description="Who measures.")
    version: str = Field(description="Of which these names were read; newer ones may have others.")
    source: str = Field(description="Repository and file that they were read in.")
    note: str = Field("", description="What has to be switched on for it.")
    metrics: dict[str, tuple[str, ...]] = Field(description="Labels by name.")


class Externals(Strict):
    """``external.yaml``."""

    externals: tuple[External, ...]


def names_in(expression: str) -> frozenset[str]:
    """Names of metrics and recorded series in a PromQL expression."""
    bare = _STRING.sub("", expression)
    bare = _GROUPING.sub(" ", _LABELS.sub(" ", bare))
    return frozenset(one for one in _NAME.findall(bare) if one.lower() not in _WORDS)


def scraped(text: str, source: str) -> dict[str, Known]:
    """Names of samples in a scrape, as expressions use them."""
    found: dict[str, Known] = {}
    for name, labels in _samples(text):
        before = found.get(name, Known(source, frozenset()))
        bounds = frozenset({labels[_BOUND]} if _BOUND in labels else ())
        found[name] = Known(source, before.labels | frozenset(labels), before.bounds | bounds)
    return found


def kept(text: str) -> str:
    """A scrape without its values: kinds, names and labels alone, and the bounds of histograms."""
    lines: dict[str, set[str]] = {}
    for name, labels in _samples(text):
        if not name.startswith(_OF_THE_PROCESS) and not name.endswith("_created"):
            lines.setdefault(name, set()).add(_line(name, labels))
    made = []
    for family, kind in sorted(_KIND.findall(text)):
        parts = [f"{family}{ending}" for ending in (_PARTS if kind in ("histogram", "summary") else ("",))]
        found = [line for name in parts for line in sorted(lines.pop(name, ()), key=_order)]
        made += [f"# TYPE {family} {kind}", *found] if found else []
    made += [line for _, found in sorted(lines.items()) for line in sorted(found, key=_order)]
    return "".join(f"{line}\n" for line in made)


def known(root: Path) -> dict[str, Known]:
    """Everything that may be used in an expression, by name; recorded series are not among it."""
    folder = root / METRICS
    found: dict[str, Known] = {}
    for path in sorted(folder.glob("*.txt")):
        for name, one in scraped(path.read_text(encoding="utf-8"), path.name).items():
            before = found.get(name, one)
            found[name] = Known(before.source, before.labels | one.labels, before.bounds | one.bounds)
    for external in externals(root):
        found |= {
            name: Known(f"{external.system} {external.version}", frozenset(labels))
            for name, labels in external.metrics.items()
        }
    return found


def externals(root: Path) -> tuple[External, ...]:
    """What ``external.yaml`` lists."""
    content = yaml.safe_load((root / METRICS / EXTERNAL).read_text(encoding="utf-8"))
    return Externals.model_validate(content).externals


def _samples(text: str) -> list[tuple[str, dict[str, str]]]:
    """Names and labels as they stand there: a parser that knows kinds would rename Triton's counters."""
    return [
        (name, {key: value.replace('\\"', '"') for key, value in _PAIR.findall(labels)})
        for name, labels in _SAMPLE.findall(text)
    ]


def _line(name: str, labels: Mapping[str, str]) -> str:
    told = ",".join(f'{key}="{value if key == _BOUND else ""}"' for key, value in sorted(labels.items()))
    return f"{name}{{{told}}} 0" if told else f"{name} 0"


def _order(line: str) -> tuple[str, float]:
    bound = re.search(r'\ble="([^"]+)"', line)
    return line.partition("{")[0], float(bound.group(1)) if bound else 0.0
