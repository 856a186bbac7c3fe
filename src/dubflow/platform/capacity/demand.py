"""Who asks for how much, and when: a Poisson process whose rate follows the hours of a day."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dubflow.config import Strict

Shape = Literal["flat", "office"]
HOUR_S = 3600.0
SHAPES: dict[Shape, tuple[float, ...]] = {
    "flat": (1.0,) * 24,
    # An assumption, not a measurement: one region's working day, its busiest hour 2.4 times the mean.
    "office": (
        0.2, 0.15, 0.1, 0.1, 0.15, 0.25, 0.5, 0.9, 1.5, 2.0, 2.3, 2.2, 1.8, 2.0, 2.4, 2.3, 2.0, 1.6, 1.2, 0.9, 0.7, 0.5,
        0.35, 0.25,
    ),
}  # fmt: skip


class Demand(Strict):
    """Of one day."""

    minutes_a_day: float = Field(gt=0, description="Of clip that are to be dubbed.")
    clip_s: float = Field(60.0, gt=0, description="Mean length of a clip.")
    clip_spread: float = Field(0.6, ge=0, description="Standard deviation of its length, as a share of the mean.")
    shape: Shape = Field("office", description="How the day goes.")

    @property
    def jobs_a_day(self) -> float:
        """Mean number."""
        return 60.0 * self.minutes_a_day / self.clip_s

    def rate(self, hour: int) -> float:
        """Jobs a second in an hour of the day."""
        weights = SHAPES[self.shape]
        return self.jobs_a_day * weights[hour % 24] / sum(weights) / HOUR_S

    @property
    def busiest(self) -> int:
        """The hour with the most jobs."""
        weights = SHAPES[self.shape]
        return max(range(24), key=weights.__getitem__)

    def arrivals(self, start_h: float, hours: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """Seconds of the day at which jobs come, from ``start_h`` on for ``hours``; sorted, ``[n]``."""
        parts = []
        moment, end = start_h, start_h + hours
        while moment < end - 1e-9:
            stop = min(float(np.floor(moment) + 1), end)
            seconds = (stop - moment) * HOUR_S
            count = rng.poisson(self.rate(int(moment)) * seconds)
            parts.append(moment * HOUR_S + seconds * np.sort(rng.random(count)))
            moment = stop
        return np.concatenate(parts) if parts else np.zeros(0)

    def lengths(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Seconds of clips, lognormal, ``[count]``."""
        if not self.clip_spread:
            return np.full(count, self.clip_s)
        sigma = float(np.sqrt(np.log1p(self.clip_spread**2)))
        return rng.lognormal(np.log(self.clip_s) - sigma**2 / 2, sigma, count)
