"""Counting, in one process, and telling Prometheus for all of them.

Every process counts in a registry of its own (:class:`Meters`). Workers write theirs every few seconds to a file of the
state folder (:class:`Publisher`); the gateway adds them to its own when it is asked (:func:`exposition`). Counters and
histograms are summed over processes, and what a worker that ended had counted stays in the sum; a gauge belongs to a
living process and goes with it. Examples with trace ids (OpenMetrics' exemplars) survive the way.

prometheus_client's own multi-process mode was not taken: it is chosen by an environment variable before the first
import, keeps no exemplars, and leaves a file for every process that ever lived.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubflow.atomic import sweep, write_text
from dubflow.errors import OurFault, missing_extra
from dubflow.gateway.metric_table import BY_NAME, METRICS, Place
from dubflow.locking import alone_in

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

FOLDER = "metrics"
RETIRED = "retired.json"
_PUBLISHED = re.compile(r"\d+-\d+\.json")
_EVERY_S = 2.0
_PATIENCE_S = 10.0
OPEN_METRICS = "application/openmetrics-text"


class Meters:
    """The counters of one process.

    Args:
        place: which of the table's metrics it has.
    """

    def __init__(self, place: Place) -> None:
        """Everything at zero.

        Raises:
            WrongUse: ``install.missing_extra``.
        """
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError as error:
            raise missing_extra("prometheus_client") from error
        self.registry = CollectorRegistry()
        self._meters: dict[str, Any] = {}
        for one in METRICS:
            if one.place != place:
                continue
            if one.kind == "histogram":
                made: Any = Histogram(one.name, one.meaning, one.labels, registry=self.registry, buckets=one.buckets)
            else:
                made = (Counter if one.kind == "counter" else Gauge)(
                    one.name, one.meaning, one.labels, registry=self.registry
                )
            for value in one.begins:
                made.labels(value)
            self._meters[one.name] = made

    def count(self, name: str, amount: float = 1, *, trace: str | None = None, **labels: str) -> None:
        """Add to a counter."""
        self._of(name, labels).inc(amount, _exemplar(trace))

    def observe(self, name: str, value: float, *, trace: str | None = None, **labels: str) -> None:
        """Put a value into a histogram."""
        self._of(name, labels).observe(value, _exemplar(trace))

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._of(name, labels).set(value)

    def move(self, name: str, by: float, **labels: str) -> None:
        """Raise or lower a gauge."""
        self._of(name, labels).inc(by)

    def families(self) -> list[Family]:
        """As Prometheus sees them now."""
        return list(self.registry.collect())

    def _of(self, name: str, labels: Mapping[str, str]) -> Any:
        meter = self._meters[name]
        return meter.labels(**labels) if BY_NAME[name].labels else meter


class Publisher:
    """Writes the meters of this process where the gateway finds them; a context manager.

    Args:
        folder: of the state. beat: called before each writing.
    """

    def __init__(
        self, meters: Meters, folder: Path, *, every_s: float = _EVERY_S, beat: Callable[[], None] | None = None
    ) -> None:
        self.meters, self.every_s, self.beat = meters, every_s, beat
        self.file = Path(folder) / FOLDER / f"{os.getpid()}-{_born(os.getpid())}.json"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def __enter__(self) -> Publisher:
        self.publish()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.publish()

    def publish(self) -> None:
        """Write now."""
        if self.beat is not None:
            self.beat()
        write_text(self.file, json.dumps([_packed(family) for family in self.meters.families()]))

    def _run(self) -> None:
        while not self._ended.wait(self.every_s):
            try:
                self.publish()
            except OSError:  # a full disk must not end a worker; the next writing may fit
                continue


def exposition(families: Iterable[Family], accept: str = "") -> tuple[bytes, str]:
    """The text that Prometheus reads, and its content type: OpenMetrics with exemplars where the client takes it."""
    from prometheus_client import exposition as plain
    from prometheus_client.openmetrics import exposition as open_metrics

    class _All:
        def collect(self) -> Iterable[Family]:
            return families

    if OPEN_METRICS in accept:
        text = open_metrics.generate_latest(_All())  # type: ignore[no-untyped-call]
        return bytes(text), open_metrics.CONTENT_TYPE_LATEST
    return plain.generate_latest(_All()), plain.CONTENT_TYPE_LATEST


def gathered(own: Iterable[Family], folder: Path) -> list[Family]:
    """``own`` and what other processes of this state have published, added up.

    Raises:
        OurFault: ``gateway.metrics_busy`` when another gateway holds the folder for long.
    """
    root = Path(folder) / FOLDER
    busy = OurFault("gateway.metrics_busy", "Another process reads the metrics.", "Ask again in a few seconds.")
    packed = [_packed(family) for family in own]
    with alone_in(root, busy, _PATIENCE_S):
        retired = _retired(root)
        living = []
        sweep(root)
        for path in sorted(root.iterdir()):
            if not _PUBLISHED.fullmatch(path.name):  # half a file of a process that was killed is none
                continue
            content = _content(path)
            if content is None:
                continue
            if _lives(path.stem):
                living.append(content)
            else:
                retired = _retire(root, retired, path, content)
    return _summed([packed, *living, retired["families"]])


def _retire(root: Path, retired: dict[str, Any], path: Path, content: list[Any]) -> dict[str, Any]:
    """Keep what an ended process had counted, once, however often this is interrupted."""
    if path.name not in retired["files"]:
        counted = [family for family in content if family["kind"] != "gauge"]
        kept = _added([retired["families"], counted])
        there = [name for name in retired["files"] if (root / name).exists()]
        retired = {"files": [*there, path.name], "families": list(kept.values())}
        write_text(root / RETIRED, json.dumps(retired))
    path.unlink(missing_ok=True)
    return retired


def _retired(root: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((root / RETIRED).read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return {"files": [], "families": []}


def _content(path: Path) -> list[Any] | None:
    try:
        found: list[Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return None


def _born(pid: int) -> int:
    """When a process began, in the kernel's ticks: a number that comes again has another one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return -1
    rest = text.rpartition(")")[2].split()
    return -1 if rest[0] in "ZX" else int(rest[19])


def _lives(stem: str) -> bool:
    pid, _, born = stem.partition("-")
    return pid.isdigit() and born.isdigit() and _born(int(pid)) == int(born)


def _packed(family: Family) -> dict[str, Any]:
    return {
        "name": family.name,
        "kind": family.type,
        "meaning": family.documentation,
        "samples": [
            [one.name, one.labels, one.value, _packed_exemplar(one.exemplar)]
            for one in family.samples
            if not one.name.endswith("_created")  # when counting began says nothing once processes are added up
        ],
    }


def _added(parts: Iterable[Iterable[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Families by name; samples of equal name and labels are one. The newest exemplar stays."""
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        for family in part:
            into = found.setdefault(family["name"], {**family, "samples": []})
            known = {_key(one): one for one in into["samples"]}
            for name, labels, value, exemplar in family["samples"]:
                there = known.get(_key([name, labels]))
                if there is None:
                    into["samples"].append([name, labels, value, exemplar])
                    known[_key([name, labels])] = into["samples"][-1]
                else:
                    there[2] += value
                    there[3] = max(there[3], exemplar, key=lambda one: -1.0 if one is None else one[2])
    return found


def _key(sample: list[Any]) -> tuple[Any, ...]:
    return (sample[0], *sorted(sample[1].items()))


def _summed(parts: Iterable[Iterable[dict[str, Any]]]) -> list[Family]:
    from prometheus_client.core import Exemplar
    from prometheus_client.core import Metric as Family

    made = []
    for one in _added(parts).values():
        family = Family(one["name"], one["meaning"], one["kind"])
        for name, labels, value, exemplar in one["samples"]:
            family.add_sample(name, labels, value, exemplar=None if exemplar is None else Exemplar(*exemplar))
        made.append(family)
    return sorted(made, key=lambda family: family.name)


def _packed_exemplar(exemplar: Any) -> list[Any] | None:
    return None if exemplar is None else [dict(exemplar.labels), exemplar.value, exemplar.timestamp or 0.0]


def _exemplar(trace: str | None) -> dict[str, str] | None:
    return None if trace is None else {"trace_id": trace}
