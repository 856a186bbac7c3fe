"""Which clips got worse, worst first: what a release owner should look at.

Metrics have different units, so a loss is counted in standard deviations of its metric over all clips of both systems.
A clip stands where its largest loss puts it. Clips that failed though the champion did them come before all others.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dubflow.judging.card.rows import ClipScore, Metric, ScoreCard


@dataclass(frozen=True)
class Loss:
    """One metric of one clip. ``deviations`` is how much worse it got, negative where it got better."""

    metric: str
    champion: float | None
    challenger: float | None
    deviations: float


@dataclass(frozen=True)
class Regression:
    """One clip: ``broke`` where it has no result though the champion has; losses, worst first, of judged metrics."""

    clip: str
    broke: bool
    reason: str
    losses: tuple[Loss, ...]

    @property
    def size(self) -> float:
        """Largest loss in standard deviations; infinite for a clip that broke."""
        return math.inf if self.broke else max((loss.deviations for loss in self.losses), default=-math.inf)


def worst_first(
    challenger: ScoreCard, champion: ScoreCard | None, only: Collection[str] = ()
) -> tuple[Regression, ...]:
    """Clips of the challenger that lost something, worst first; equal ones by name.

    Without a champion each clip is held against the mean of the challenger's own clips, which ranks them by how bad
    they are.

    Args:
        only: names of the metrics to rank by; every metric with a direction where it is empty.
    """
    metrics = [m for m in challenger.metrics if m.better != "none" and (not only or m.name in only)]
    before = {} if champion is None else {row.clip: row for row in champion.rows}
    spreads = {m.name: _spread(m, [*challenger.rows, *before.values()]) for m in metrics}
    means = {m.name: _mean(m, challenger.rows) for m in metrics}
    found = [
        _regression(row, before.get(row.clip), champion is None, metrics, spreads, means) for row in challenger.rows
    ]
    return tuple(sorted((r for r in found if r.size > 0), key=lambda r: (not r.broke, -r.size, r.clip)))


def badness(metric: Metric, value: float) -> float:
    """The value turned so that larger is worse."""
    return -value if metric.better == "higher" else abs(value) if metric.better == "near_zero" else value


def _regression(
    row: ClipScore,
    before: ClipScore | None,
    alone: bool,
    metrics: Sequence[Metric],
    spreads: Mapping[str, float],
    means: Mapping[str, float],
) -> Regression:
    done_before = alone or (before is not None and before.status == "ok")
    losses = []
    for metric in metrics:
        now, then = row.values.get(metric.name), None if before is None else before.values.get(metric.name)
        loss = _loss(metric, now, then, means.get(metric.name) if alone else None, spreads[metric.name])
        # The system's own doing that there is no figure any more: the worst that a metric can do.
        if now is None and then is not None and row.status == "ok" and row.blamed(metric.name) == "clip":
            loss = math.inf
        if loss is not None:
            losses.append(Loss(metric.name, then, now, loss))
    return Regression(
        clip=row.clip,
        broke=row.status != "ok" and done_before,
        reason=row.reason,
        losses=tuple(sorted(losses, key=lambda loss: (-loss.deviations, loss.metric))),
    )


def _loss(metric: Metric, now: float | None, then: float | None, mean: float | None, spread: float) -> float | None:
    if now is None or spread == 0:
        return None
    held_against = mean if then is None else badness(metric, then)
    return None if held_against is None else (badness(metric, now) - held_against) / spread


def _values(metric: Metric, rows: Sequence[ClipScore]) -> list[float]:
    known = (row.values.get(metric.name) for row in rows)
    return [badness(metric, value) for value in known if value is not None]


def _mean(metric: Metric, rows: Sequence[ClipScore]) -> float:
    values = _values(metric, rows)
    return float(np.mean(values)) if values else 0.0


def _spread(metric: Metric, rows: Sequence[ClipScore]) -> float:
    values = _values(metric, rows)
    # Equal values have no spread; the rounding of their mean would give them one.
    return float(np.std(values)) if values and min(values) < max(values) else 0.0
