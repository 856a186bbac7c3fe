r"""Mean and covariance of features that come in parts and are not kept: Chan, Golub and LeVeque, 1979.

With :math:`\delta` the difference of two parts' means, scatters (sums of outer products about the mean) add up as

.. math:: M = M_1 + M_2 + \frac{n_1 n_2}{n_1 + n_2} \delta \delta^T,

which also tells what is left when a part is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.frechet import Gaussian

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Of ``count`` samples: their mean ``[D]`` and scatter ``[D, D]``."""

    count: int
    mean: Floats
    scatter: Floats

    def __add__(self, other: Moments) -> Moments:
        """Of both parts together.

        Raises:
            BadInput: ``judging.bad_features`` for unequal widths.
        """
        if self.mean.shape != other.mean.shape:
            raise BadInput(
                "judging.bad_features", f"Features of {self.mean.size} and {other.mean.size} numbers don't add up."
            )
        count = self.count + other.count
        apart = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(apart, apart * (self.count * other.count / count))
        return Moments(count, self.mean + apart * (other.count / count), scatter)

    def __sub__(self, other: Moments) -> Moments:
        """Of what is left without ``other``, which is a part of this.

        Raises:
            BadInput: ``judging.too_few`` where nothing would be left; ``judging.bad_features`` for unequal widths.
        """
        if self.mean.shape != other.mean.shape:
            raise BadInput(
                "judging.bad_features", f"Features of {self.mean.size} and {other.mean.size} numbers don't add up."
            )
        count = self.count - other.count
        if count < 1:
            raise BadInput("judging.too_few", "Nothing is left of the samples.", "Take away fewer.")
        mean = self.mean + (self.mean - other.mean) * (other.count / count)
        apart = other.mean - mean
        scatter = self.scatter - other.scatter
        scatter -= np.outer(apart, apart * (count * other.count / self.count))
        return Moments(count, mean, scatter)

    def gaussian(self) -> Gaussian:
        """Mean and covariance.

        Raises:
            BadInput: ``judging.bad_features`` below two samples.
        """
        return Gaussian(self.mean, self.scatter / max(self.count - 1, 1), self.count)


def moments(features: NDArray[np.floating[Any]]) -> Moments:
    """Of features ``[N, D]``.

    Raises:
        BadInput: ``judging.bad_features`` for anything but a table with rows; ``judging.not_finite``.
    """
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise BadInput("judging.bad_features", f"Features are a table [N, D] with rows, not {list(table.shape)}.")
    if not np.isfinite(table).all():
        raise BadInput("judging.not_finite", "A feature is no finite number.", "Leave the sample out, and say so.")
    mean = table.mean(axis=0)
    centred = table - mean
    return Moments(len(table), mean, centred.T @ centred)
