"""Which metrics there are: those of a running demo, saved or fresh, and those that only a cluster measures.

What is saved is :mod:`dubflow.platform.monitoring.catalogue`'s; a fresh scrape is looked at first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.errors import BadInput, DubflowError
from dubflow.platform.monitoring.catalogue import METRICS, externals, known

_TYPE = re.compile(r"^# TYPE (\S+) (\w+)", re.MULTILINE)
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{| )", re.MULTILINE)
_BY_PROMETHEUS = frozenset(
    {"up", "ALERTS", "ALERTS_FOR_STATE", "scrape_duration_seconds", "scrape_samples_scraped",
     "scrape_samples_post_metric_relabeling", "scrape_series_added"}
)  # fmt: skip
_ENDINGS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count"), "info": ("", "_info")}
_WITHIN_S = 10.0
_MOST = 20 * 2**20


@dataclass(frozen=True)
class KnownMetrics:
    """Names that may be read, and whence they are known.

    Attributes:
        source: empty where there is no scrape at all.
        elsewhere: what only the saved scrapes have, where a fresh one is looked at.
    """

    names: frozenset[str]
    source: str
    elsewhere: frozenset[str] = frozenset()

    def holds(self, name: str) -> bool:
        """Whether somebody counts it."""
        return name in self.names or name in _BY_PROMETHEUS


def names_of(exposition: str) -> frozenset[str]:
    """Names of the series of a scrape, in Prometheus' text format or in OpenMetrics.

    Also of those that have no samples yet, because nothing has happened that they count.
    """
    found = set(_SAMPLE.findall(exposition))
    for name, kind in _TYPE.findall(exposition):
        if kind == "counter":
            if name not in found:  # Triton's counters have no ending
                found.add(name if name.endswith("_total") else f"{name}_total")
        else:
            found |= {name + ending for ending in _ENDINGS.get(kind, ("",))}
    return frozenset(found)


def known_metrics(root: Path, fresh: Sequence[str] = ()) -> KnownMetrics:
    """Those that a checkout knows.

    Args:
        fresh: files or URLs of scrapes, looked at before the saved ones.

    Raises:
        BadInput: ``platform.no_scrape``, ``platform.bad_metrics``.
    """
    try:
        others = {name for one in externals(root) for name in one.metrics}
        files = sorted((root / METRICS).glob("*.txt"))
        saved = {name for path in files for name in names_of(path.read_text(encoding="utf-8"))} | set(known(root))
        if fresh:
            counted = {name for one in fresh for name in names_of(_fetched(one))} | others
            return KnownMetrics(frozenset(counted), ", ".join(fresh), frozenset(saved - counted))
        source = f"saved scrapes of {', '.join(path.stem for path in files)}" if files else ""
        return KnownMetrics(frozenset(saved | others), source)
    except DubflowError:
        raise
    except (OSError, ValueError) as error:
        raise BadInput(
            "platform.bad_metrics", f"{METRICS} does not read: {error}.", "Save the scrapes again."
        ) from error


def _fetched(source: str) -> str:
    try:
        if source.startswith(("http://", "https://")):
            from urllib.request import urlopen

            with urlopen(source, timeout=_WITHIN_S) as answer:  # noqa: S310 - http alone, and named by the caller
                return str(answer.read(_MOST).decode("utf-8"))
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise BadInput(
            "platform.no_scrape", f"No metrics could be read from {source}: {error}.", "Name a file or /metrics."
        ) from error
