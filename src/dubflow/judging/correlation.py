"""Pearson's correlation, with an answer for what does not move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_STILL = 1e-9


def correlation(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float | None:
    """Of ``[n]`` and ``[n]``, -1 to 1; None where one of them stands still (to one in 10^9 of its size) or is empty."""
    if not len(first):
        return None
    a, b = (np.asarray(one, dtype=np.float64) for one in (first, second))
    moved, other = a - a.mean(), b - b.mean()
    sizes = float(np.linalg.norm(moved)), float(np.linalg.norm(other))
    if sizes[0] <= _STILL * np.linalg.norm(a) or sizes[1] <= _STILL * np.linalg.norm(b):
        return None
    return float(np.clip(moved @ other / (sizes[0] * sizes[1]), -1.0, 1.0))
