"""The rows of two cards as paired sums, one line a clip: what the comparison works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.card.aggregates import contributions
from dubflow.judging.card.resampling import Floats, by_cluster
from dubflow.judging.card.rows import ClipScore, Metric, ScoreCard


@dataclass(frozen=True)
class Paired:
    """A metric of two systems on the same clips, with failures counted at their worst.

    Attributes:
        metric: whose figures these are.
        table: ``[clips, 4]``: numerator and denominator of the challenger, then of the champion.
        rows: the challenger's row of each line; tags are those of the item and so of both.
    """

    metric: Metric
    table: Floats
    rows: tuple[ClipScore, ...]

    def where(self, chosen: Sequence[bool]) -> Paired:
        """The chosen clips."""
        rows = tuple(row for row, one in zip(self.rows, chosen, strict=True) if one)
        return Paired(self.metric, self.table[np.asarray(chosen, dtype=bool)], rows)

    def units(self, resample: str) -> Floats:
        """What is drawn: ``[clips, 4]``, or ``[speakers, 4]`` summed by speaker."""
        if resample == "clip":
            return self.table
        return by_cluster(self.table, [row.tags.speaker for row in self.rows])


def pair(challenger: ScoreCard, champion: ScoreCard | None, name: str) -> Paired:
    """Pair both cards' rows by clip; without a champion its columns are those of nothing (0 of 1).

    Clips whose item has nothing to measure are left out, and so is a clip on which one system failed and whose item has
    nothing to measure by the other's row.
    """
    metric = next(one for one in challenger.metrics if one.name == name)
    ours = tuple(sorted(challenger.rows, key=lambda row: row.clip))
    added = contributions(ours, metric, "intention_to_treat")
    counted: NDArray[np.bool_] = added.counted
    if champion is None:
        theirs = np.zeros(len(ours)), added.under
    else:
        rows = tuple(sorted(champion.rows, key=lambda row: row.clip))
        other = contributions(rows, metric, "intention_to_treat")
        theirs = other.over, other.under
        counted = counted & other.counted
    table = np.stack([added.over, added.under, *theirs], axis=1)
    return Paired(metric, table, ours).where(counted.tolist())
