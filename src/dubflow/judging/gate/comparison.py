"""Two systems on the same clips: the gain, its bounds, and how sure a statement about it is.

The gain is the difference of two figures that are each a ratio of sums over clips (a mean, or a corpus rate), signed so
that positive is better. Clips are drawn in pairs, so what makes a clip hard for both cancels. Bounds are those of the
studentised bootstrap (bootstrap-t; Efron and Tibshirani, 1993, chapter 12.5), whose one-sided error is of a smaller
order than the percentile bootstrap's where differences are skewed, as word errors are (Hall, 1992). The standard error
is the linearised one (the delta method), which for a mean is the usual one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import missing_extra
from dubflow.judging.card.resampling import Floats, resampled_sums

FEWEST_UNITS = 8
"""With fewer clips (speakers) the resampled standard errors say nothing."""
_COLUMNS = 4  # over and under of the challenger, over and under of the champion
_UPPER = np.triu_indices(_COLUMNS)


@dataclass(frozen=True)
class Comparison:
    """A gain and what is known of it.

    Attributes:
        challenger, champion: their figures. gain: their difference, positive where the challenger is better.
        error: standard error of the gain. spread: standard deviation of what one unit adds to it.
        units: clips or speakers that were drawn.
        statistics: studentised gains of the bootstrap's rounds, sorted; may hold infinities.
    """

    challenger: float
    champion: float
    gain: float
    error: float
    units: int
    statistics: NDArray[np.float64]

    @property
    def spread(self) -> float:
        """Standard deviation of what one unit adds to the gain, in the metric's unit."""
        return self.error * math.sqrt(self.units)

    def p_above(self, limit: float) -> float:
        """p-value of the claim that the true gain is more than ``limit``."""
        return self._p(self.gain - limit, +1)

    def p_below(self, limit: float) -> float:
        """p-value of the claim that the true gain is less than ``limit``."""
        return self._p(limit - self.gain, -1)

    def low(self, alpha: float) -> float:
        """One-sided lower bound of the gain; minus infinity where the clips give none."""
        return self.gain - self.error * self._reach(1 - alpha, +1) if self.error else self.gain

    def high(self, alpha: float) -> float:
        """One-sided upper bound of the gain; infinity where the clips give none."""
        return self.gain + self.error * self._reach(1 - alpha, -1) if self.error else self.gain

    def _p(self, beyond: float, sign: int) -> float:
        rounds = len(self.statistics)
        if not self.error:  # every unit agrees
            return 1 / (rounds + 1) if beyond > 0 else 1.0
        distance = beyond / self.error
        drawn = float(1 + (sign * self.statistics >= distance).sum()) / (rounds + 1)
        return max(drawn, float(_special().stdtr(self.units - 1, -distance)))

    def _reach(self, level: float, sign: int) -> float:
        """Standard errors from the gain to its bound."""
        # The order statistic at which the bound and the p-value agree; interpolation would fail on infinities.
        place = min(math.ceil(level * (len(self.statistics) + 1)), len(self.statistics))
        drawn = float(np.sort(sign * self.statistics)[place - 1])
        return max(drawn, float(_special().stdtrit(self.units - 1, level)))


def _special() -> Any:
    try:
        import scipy.special
    except ImportError as error:
        raise missing_extra("scipy") from error
    return scipy.special


def compare(table: Floats, *, higher_is_better: bool, seed: int, rounds: int) -> Comparison | None:
    """Compare two systems on the same units.

    Args:
        table: ``[units, 4]``: numerator and denominator of the challenger, then of the champion.
        higher_is_better: direction of the metric.

    Returns:
        None where there are too few units (:data:`FEWEST_UNITS`), or nothing to divide by.

    Raises:
        WrongUse: ``install.missing_extra`` (when bounds and p-values are asked for).
    """
    table = table[(table[:, 1] > 0) | (table[:, 3] > 0)]
    units = len(table)
    sums = table.sum(axis=0)
    if units < FEWEST_UNITS or sums[1] <= 0 or sums[3] <= 0:
        return None
    sign = 1.0 if higher_is_better else -1.0
    first, second = _UPPER
    products = table[:, first] * table[:, second]
    drawn = resampled_sums(np.concatenate([table, products], axis=1), seed=seed, rounds=rounds)
    gains, errors = _gain_and_error(drawn, units, sign)
    gain, error = _gain_and_error(np.concatenate([sums, products.sum(axis=0)])[None, :], units, sign)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = (gains - gain) / errors  # no spread in a round, but another gain: infinitely far
    statistics[np.isclose(gains, gain, rtol=0, atol=1e-12) & ~np.isfinite(statistics)] = 0.0
    statistics = np.sort(statistics[~np.isnan(statistics)])
    return Comparison(
        challenger=float(sums[0] / sums[1]),
        champion=float(sums[2] / sums[3]),
        gain=float(gain[0]),
        error=float(error[0]),
        units=units,
        statistics=statistics,
    )


def _gain_and_error(drawn: Floats, units: int, sign: float) -> tuple[Floats, Floats]:
    """Gain ``[r]`` and its standard error ``[r]`` of sums and sums of products ``[r, 4 + 10]``."""
    over_c, under_c, over_b, under_b = (
        np.where(column == 0, np.nan, column) if place % 2 else column
        for place, column in enumerate(drawn[:, :_COLUMNS].T)
    )
    rate_c, rate_b = over_c / under_c, over_b / under_b
    # What one unit adds: (over - rate * under) / mean(under) of each system; its mean is 0 by construction.
    weights = np.stack([units / under_c, -rate_c * units / under_c, -units / under_b, rate_b * units / under_b], axis=1)
    first, second = _UPPER
    twice = np.where(first == second, 1.0, 2.0)
    squares = (weights[:, first] * weights[:, second] * twice * drawn[:, _COLUMNS:]).sum(axis=1)
    scale = (weights[:, first] ** 2 * drawn[:, _COLUMNS:] * (first == second)).sum(axis=1)
    # Differences of large products: what is left of equal units is rounding, not spread.
    squares = np.where(squares < 1e-13 * scale, 0.0, squares)
    return sign * (rate_c - rate_b), np.sqrt(squares / (units * (units - 1)))


def holm(values: list[float]) -> list[float]:
    """p-values corrected for their number (Holm, 1979): claims at a level hold together at that level."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, so_far = [0.0] * len(values), 0.0
    for place, index in enumerate(order):
        so_far = max(so_far, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = so_far
    return corrected
