"""Intervals by resampling clips (Efron, 1979): what a mean over other clips of the same kind could have been."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dubflow.errors import BadInput

ROUNDS = 2000


@dataclass(frozen=True)
class Interval:
    """A figure, its interval, and the number of clips that it rests on."""

    value: float
    low: float
    high: float
    clips: int


def bootstrap(
    rows: ArrayLike,
    figure: Callable[[NDArray[np.float64]], float] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Interval:
    """Percentile interval of a ``figure`` (the mean, unless said otherwise) of per-clip ``rows`` ``[n]`` or ``[n, k]``.

    Clips are drawn with replacement, whole rows at a time, so that a rate of sums (errors over words) is resampled by
    clip. The same seed gives the same interval.

    Raises:
        BadInput: ``judging.nothing_to_judge`` without rows, ``judging.not_finite`` where a row is no number.
    """
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim not in (1, 2) or not len(table):
        raise BadInput("judging.nothing_to_judge", "There is no clip to judge.", "Give at least one.")
    if not np.isfinite(table).all():
        raise BadInput(
            "judging.not_finite", "A clip's figure is no number.", "Leave out what is undefined, and say so."
        )
    measure = _mean if figure is None else figure
    rng = np.random.default_rng(seed)
    drawn = [measure(table[rng.integers(len(table), size=len(table))]) for _ in range(rounds)]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(measure(table)), float(low), float(high), len(table))


def ratio(rows: NDArray[np.float64]) -> float:
    """Sum of the first column over that of the second, 0 for 0 / 0: a corpus rate of ``[n, 2]``."""
    over, under = rows.sum(axis=0)
    return float(over / under) if under else 0.0


def known(values: Sequence[float | None]) -> list[float]:
    """Those that are defined."""
    return [value for value in values if value is not None]


def _mean(rows: NDArray[np.float64]) -> float:
    return float(rows.mean())
