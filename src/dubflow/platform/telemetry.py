"""Metrics of training, the gate and the registry, read from what they leave behind: nothing has to be running for it.

A training writes ``logs/metrics.jsonl`` and checkpoints whatever else it logs to, the gate writes verdicts, the
registry a history. So one process that looks at a workspace tells Prometheus about all of them, those that were killed
included, and no training waits for a collector.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dubflow.errors import DubflowError
from dubflow.gateway.metric_table import Metric
from dubflow.judging.gate.signing import read_verdict
from dubflow.judging.gate.verdict import Verdict
from dubflow.registry.journal import Journal
from dubflow.registry.tracking_store import Store
from dubflow.tracking import METRICS as LOG
from dubflow.tracking import read_metrics

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

TABLE: tuple[Metric, ...] = (
    Metric("dubflow_training_step", "gauge", "Last step that a run logged.", ("run",)),
    Metric("dubflow_training_loss", "gauge", "Last loss, of training or validation.", ("run", "part")),
    Metric("dubflow_training_learning_rate", "gauge", "Last learning rate.", ("run",)),
    Metric("dubflow_training_steps_per_second", "gauge", "Between the last two checkpoints.", ("run",)),
    Metric("dubflow_training_logged_timestamp_seconds", "gauge", "When a run last logged anything.", ("run",)),
    Metric("dubflow_training_checkpoint_timestamp_seconds", "gauge", "When its newest checkpoint was written.",
           ("run",)),
    Metric("dubflow_training_finished", "gauge", "1 once its result is there, 0 before.", ("run",)),
    Metric("dubflow_gate_verdicts", "gauge", "Verdicts in the workspace, by decision.", ("decision",)),
    Metric("dubflow_gate_last_timestamp_seconds", "gauge", "When the newest of them was made."),
    Metric("dubflow_champion_version", "gauge", "Version of the champion in the registry.", ("model",)),
    Metric("dubflow_champion_changed_timestamp_seconds", "gauge", "When it became champion.", ("model",)),
    Metric("dubflow_champion_changes_total", "counter", "Promotions and rollbacks.", ("model", "action", "override")),
)  # fmt: skip
"""As ``docs/observability.md`` shows them."""

_BY_NAME = {one.name: one for one in TABLE}
_DEPTH = 6
_CHECKPOINT = re.compile(r"step-(\d{8})\.safetensors")
_FORMAT = b'"dubflow.verdict/'
_MOST_BYTES = 2**22
_MOST_RUNS = 50
"""Trainings that are told of, those that logged last: a workspace keeps all it ever had, Prometheus must not."""
_RESULT = "model"

Samples = dict[str, list[tuple[dict[str, str], float]]]


@dataclass(frozen=True)
class Workspace:
    """Collects from a folder, and from a registry where there is one; what Prometheus' client calls a collector."""

    folder: Path
    store: Store | None = None

    def collect(self) -> Iterator[Family]:
        """Families as they are now; what cannot be read is left out."""
        samples: Samples = {one.name: [] for one in TABLE}
        verdicts: dict[str, Verdict] = {}
        logs: list[tuple[float, Path]] = []
        for path in _files(self.folder):
            if path.name == LOG and path.parent.name == "logs":
                logs.append((_written(path), path))
            elif path.suffix == ".json" and (verdict := _verdict(path)) is not None:
                verdicts[verdict.digest] = verdict  # copies of one verdict are one
        for _, path in sorted(sorted(logs)[-_MOST_RUNS:], key=lambda one: one[1]):
            _training(path, self.folder, samples)
        _gate(verdicts.values(), samples)
        if self.store is not None and not self.store.is_new:
            _registry(self.store, samples)
        for name, found in samples.items():
            if found:
                yield _family(name, found)


def _files(folder: Path) -> Iterator[Path]:
    """Files below, not too deep, and not within what a run keeps for itself."""
    base = len(folder.parts)
    for root, folders, names in os.walk(folder):
        here = Path(root)
        kept = len(here.parts) - base < _DEPTH
        folders[:] = [one for one in sorted(folders) if kept and not one.startswith(".") and one != "mlflow-artifacts"]
        yield from (here / name for name in sorted(names))


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _training(log: Path, workspace: Path, samples: Samples) -> None:
    run = log.parent.parent
    try:
        logged = read_metrics(log)
        written = log.stat().st_mtime
    except (DubflowError, OSError):
        return
    name = run.relative_to(workspace).as_posix()
    labels = {"run": run.resolve().name if name == "." else name}
    steps = [step for values in logged.values() for step in values]
    if steps:
        samples["dubflow_training_step"].append((labels, max(steps)))
    for logged_as, part in (("train/loss", "train"), ("val/loss", "validation")):
        if logged.get(logged_as):
            last = list(logged[logged_as].values())[-1]
            samples["dubflow_training_loss"].append((labels | {"part": part}, last))
    if logged.get("train/rate"):
        samples["dubflow_training_learning_rate"].append((labels, list(logged["train/rate"].values())[-1]))
    samples["dubflow_training_logged_timestamp_seconds"].append((labels, written))
    samples["dubflow_training_finished"].append((labels, float((run / _RESULT).is_dir())))
    checkpoints = _checkpoints(run)
    if checkpoints:
        samples["dubflow_training_checkpoint_timestamp_seconds"].append((labels, checkpoints[-1][1]))
    if len(checkpoints) > 1:
        (step, at), (later, later_at) = checkpoints[-2:]
        if later_at > at:
            samples["dubflow_training_steps_per_second"].append((labels, (later - step) / (later_at - at)))


def _checkpoints(run: Path) -> list[tuple[int, float]]:
    """Step and time of each, by step."""
    found = []
    for path in (run / "checkpoints").glob("step-*.safetensors"):
        matched = _CHECKPOINT.fullmatch(path.name)
        try:
            if matched is not None:
                found.append((int(matched.group(1)), path.stat().st_mtime))
        except OSError:  # the oldest are removed while we look
            continue
    return sorted(found)


def _verdict(path: Path) -> Verdict | None:
    try:
        if path.stat().st_size > _MOST_BYTES or _FORMAT not in path.read_bytes():
            return None
        return read_verdict(path).verdict
    except (DubflowError, OSError):
        return None


def _gate(verdicts: Iterable[Verdict], samples: Samples) -> None:
    found = list(verdicts)
    for decision, count in sorted(Counter(one.decision for one in found).items()):
        samples["dubflow_gate_verdicts"].append(({"decision": decision}, count))
    times = [datetime.fromisoformat(one.made_at).timestamp() for one in found if one.made_at is not None]
    if times:
        samples["dubflow_gate_last_timestamp_seconds"].append(({}, max(times)))


def _registry(store: Store, samples: Samples) -> None:
    try:
        journal = Journal(store)
        histories = {model: journal.entries(model) for model in journal.models()}
    except DubflowError:
        return
    for model, entries in histories.items():
        changes = [one for one in entries if one.action != "register"]
        if changes and changes[-1].champion is not None:
            at = datetime.fromisoformat(changes[-1].at).timestamp()
            samples["dubflow_champion_version"].append(({"model": model}, changes[-1].champion))
            samples["dubflow_champion_changed_timestamp_seconds"].append(({"model": model}, at))
        kinds = Counter((one.action, str(one.override).lower()) for one in changes)
        for (action, override), count in sorted(kinds.items()):
            labels = {"model": model, "action": action, "override": override}
            samples["dubflow_champion_changes_total"].append((labels, count))


def _family(name: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Family:
    from prometheus_client.core import Metric as Family

    metric = _BY_NAME[name]
    family = Family(name.removesuffix("_total"), metric.meaning, metric.kind)
    for labels, value in samples:
        family.add_sample(name, dict(labels), value)
    return family
