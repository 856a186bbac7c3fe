"""What is not counted but looked up when somebody asks: the queue, what is served, and drift of what comes in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dubflow.errors import DubflowError
from dubflow.gateway.drift import read_window
from dubflow.gateway.jobs.store import JobStore
from dubflow.gateway.metric_table import BY_NAME
from dubflow.serving.state import ServingState, read_state

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

_STATES = ("queued", "running", "done", "failed", "cancelled", "expired")


def looked_up(jobs: JobStore, folder: Path) -> list[Family]:
    """Families of the table's place ``scrape``; what cannot be read now is left out, and Prometheus shows a gap."""
    return [*_queue(jobs), *looked_up_here(folder)]


def looked_up_here(folder: Path) -> list[Family]:
    """Those of them that stand in the state folder: what is served, and drift."""
    return [*_served(folder), *_drift(folder)]


def _queue(jobs: JobStore) -> list[Family]:
    try:
        counts = jobs.counts()
    except DubflowError:
        return []
    return [
        _family("dubflow_queue_jobs", [({}, counts.queued)]),
        _family("dubflow_queue_oldest_seconds", [({}, counts.oldest_s)]),
        _family("dubflow_jobs", [({"state": state}, counts.states.get(state, 0)) for state in _STATES]),
    ]


def _served(folder: Path) -> list[Family]:
    try:
        state = read_state(folder)
    except DubflowError:
        return []
    made = [
        _family(f"dubflow_serving_{name}_total", [({}, value)]) for name, value in state.counts.model_dump().items()
    ]
    made.append(_family("dubflow_serving_version_info", _versions(state)))
    made.append(_family("dubflow_serving_mode_info", [({"mode": state.mode}, 1)]))
    if state.health is not None:
        at = datetime.fromisoformat(state.health.at).timestamp()
        made.append(_family("dubflow_serving_healthy", [({}, float(state.health.fine))]))
        made.append(_family("dubflow_serving_check_seconds", [({}, state.health.seconds)]))
        made.append(_family("dubflow_serving_checked_timestamp_seconds", [({}, at)]))
    return made


def _versions(state: ServingState) -> list[tuple[dict[str, str], float]]:
    loaded = {"current": state.current, "previous": state.previous}
    return [
        ({"role": role, "version": str(one.version), "engine": one.engine, "world": one.world}, 1.0)
        for role, one in loaded.items()
        if one is not None
    ]


def _drift(folder: Path) -> list[Family]:
    try:
        served = read_state(folder).current
        found = [] if served is None else read_window(folder, served.engine, served.folder).report()
    except DubflowError:
        return []
    if not found:
        return []
    return [
        _family("dubflow_drift_ratio", [({"feature": one.feature}, one.distance) for one in found]),
        _family("dubflow_drift_threshold_ratio", [({"feature": one.feature}, one.threshold) for one in found]),
        _family("dubflow_drift_alarm", [({"feature": one.feature}, float(one.alarm)) for one in found]),
        _family("dubflow_drift_clips", [({"feature": one.feature}, one.clips) for one in found]),
    ]


def _family(name: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Family:
    from prometheus_client.core import Metric as Family

    metric = BY_NAME[name]
    family = Family(name.removesuffix("_total"), metric.meaning, metric.kind)
    for labels, value in samples:
        family.add_sample(name, dict(labels), value)
    return family
