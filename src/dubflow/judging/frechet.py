r"""The Fréchet distance of two sets of features: FID of pictures (Heusel, 2017), FVD of clips (Unterthiner, 2018).

.. math:: \lVert \mu_1 - \mu_2 \rVert^2 + \operatorname{tr} (\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})

The usual matrix square root of a product that is not symmetric is singular with few samples and comes back complex;
here the trace of the root is a sum of singular values, which is the same number and cannot be. With the centred
features as rows, :math:`\Sigma_1 = A^T A` and :math:`\Sigma_2 = B^T B`, it is that of :math:`A B^T`.

The estimate is biased: two samples of one distribution have a distance above 0 that falls with their number (Chong and
Forsyth, 2020), so only figures of equal numbers of samples compare. Which network the features are of, and how pictures
were scaled for it, is the other half of the definition and belongs to the judge's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput

FEWEST = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean ``[D]`` and covariance ``[D, D]`` (divided by count - 1) of ``count`` samples: stored statistics."""

    mean: Floats
    covariance: Floats
    count: int

    def __post_init__(self) -> None:
        width = self.mean.shape
        if len(width) != 1 or self.covariance.shape != width * 2 or self.count < FEWEST:
            raise BadInput(
                "judging.bad_features",
                f"A mean {list(width)}, a covariance {list(self.covariance.shape)} and {self.count} samples disagree.",
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.covariance).all()):
            raise BadInput("judging.not_finite", "The statistics hold a value that is no finite number.")


def fit_gaussian(features: NDArray[np.floating[Any]]) -> Gaussian:
    """Statistics of features ``[N, D]``.

    Raises:
        BadInput: as :func:`frechet_distance`.
    """
    table = _checked(features)
    centred = table - table.mean(axis=0)
    return Gaussian(table.mean(axis=0), centred.T @ centred / (len(table) - 1), len(table))


def frechet_distance(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Of features ``[N, D]`` and ``[M, D]``; 0 is equal, symmetric.

    Raises:
        BadInput: ``judging.bad_features`` for tables of unequal width; ``judging.too_few`` below two samples;
            ``judging.not_finite``.
    """
    one, other = _checked(first), _checked(second)
    if one.shape[1] != other.shape[1]:
        raise BadInput(
            "judging.bad_features", f"Features of {one.shape[1]} and {other.shape[1]} numbers don't compare."
        )
    shift = one.mean(axis=0) - other.mean(axis=0)
    roots = [(table - table.mean(axis=0)) / np.sqrt(len(table) - 1) for table in (one, other)]
    # Singular values of a product do not change when the factors are first brought to their own few dimensions.
    if one.shape[1] < min(len(one), len(other)):
        roots = [np.linalg.qr(root, mode="r") for root in roots]
    common = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(float(np.square(root).sum()) for root in roots)
    return _positive(float(shift @ shift), spread, float(common))


def frechet_of_gaussians(first: Gaussian, second: Gaussian) -> float:
    """The same from stored statistics.

    Raises:
        BadInput: ``judging.bad_features`` for unequal widths.
    """
    if first.mean.shape != second.mean.shape:
        raise BadInput(
            "judging.bad_features", f"Features of {first.mean.size} and {second.mean.size} numbers don't compare."
        )
    shift = first.mean - second.mean
    common = np.linalg.svd(_root(first.covariance) @ _root(second.covariance), compute_uv=False).sum()
    spread = float(np.trace(first.covariance) + np.trace(second.covariance))
    return _positive(float(shift @ shift), spread, float(common))


def _root(covariance: Floats) -> Floats:
    """The symmetric root; eigenvalues below zero are rounding."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _positive(shift: float, spread: float, common: float) -> float:
    return max(shift + spread - 2 * common, 0.0)


def _checked(features: NDArray[np.floating[Any]]) -> Floats:
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise BadInput("judging.bad_features", f"Features are a table [N, D], not {list(table.shape)}.")
    if len(table) < FEWEST:
        raise BadInput("judging.too_few", f"{len(table)} samples have no distribution.", f"Give at least {FEWEST}.")
    if not np.isfinite(table).all():
        raise BadInput("judging.not_finite", "A feature is no finite number.", "Leave the sample out, and say so.")
    return table
