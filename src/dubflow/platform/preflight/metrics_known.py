"""Which metrics there are: those of saved scrapes of a running demo, of a fresh one, and of other people's exporters.

``infra/monitoring/metrics/*.txt`` are scrapes that a script of the project saves; ``external.yaml`` beside them lists
what a machine without a cluster or GPU cannot scrape, with its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.errors import BadInput
from dubflow.platform.preflight.yaml_files import read

_TYPE = re.compile(r"^# TYPE (\S+) (\w+)", re.MULTILINE)
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{| )", re.MULTILINE)
_BY_PROMETHEUS = frozenset(
    {"up", "ALERTS", "ALERTS_FOR_STATE", "scrape_duration_seconds", "scrape_samples_scraped",
     "scrape_samples_post_metric_relabeling", "scrape_series_added"}
)  # fmt: skip
_ENDINGS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count"),
            "gaugehistogram": ("_bucket", "_gsum", "_gcount"), "info": ("", "_info")}  # fmt: skip
_WITHIN_S = 10.0
_MOST = 20 * 2**20


@dataclass(frozen=True)
class KnownMetrics:
    """Attributes:
    scraped: names of series of saved scrapes, or of the fresh one. external: of other people's exporters.
    source: whence ``scraped`` comes; empty where there is no scrape.
    """

    scraped: frozenset[str]
    external: frozenset[str]
    source: str

    def holds(self, name: str) -> bool:
        """Whether somebody counts it."""
        return name in self.scraped or name in self.external or name in _BY_PROMETHEUS


def names_of(exposition: str) -> frozenset[str]:
    """Names of the series of a scrape, in Prometheus' text format or in OpenMetrics; also of those without samples."""
    found = set(_SAMPLE.findall(exposition))
    for name, kind in _TYPE.findall(exposition):
        if kind == "counter":
            found |= {name if name.endswith("_total") else f"{name}_total", name}
        else:
            found |= {name + ending for ending in _ENDINGS.get(kind, ("",))}
    return frozenset(found)


def known_metrics(monitoring: Path, fresh: Iterable[str] = ()) -> KnownMetrics:
    """Those below ``infra/monitoring``; a ``fresh`` scrape takes the place of the saved ones.

    Raises:
        BadInput: ``platform.no_scrape`` where a fresh one cannot be read, ``platform.bad_yaml``.
    """
    folder, fresh = monitoring / "metrics", list(fresh)
    saved = sorted(folder.glob("*.txt"))
    texts = [_fetched(one) for one in fresh] or [path.read_text(encoding="utf-8") for path in saved]
    scraped = frozenset(name for text in texts for name in names_of(text))
    listed = folder / "external.yaml"
    external = frozenset(_external(next(iter(read(listed)), {}))) if listed.is_file() else frozenset()
    source = ", ".join(fresh) or (f"saved scrapes ({', '.join(path.stem for path in saved)})" if saved else "")
    return KnownMetrics(scraped, external, source)


def _external(content: Any) -> Iterable[str]:
    """Every name below a key ``metrics``, plain or as a mapping's key or ``name``."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if key == "metrics" and isinstance(value, Mapping):
                yield from map(str, value)
            elif key == "metrics" and isinstance(value, list):
                yield from (str(one.get("name") if isinstance(one, Mapping) else one) for one in value)
            else:
                yield from _external(value)
    elif isinstance(content, list):
        for one in content:
            yield from _external(one)


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
