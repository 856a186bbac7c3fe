"""The bootstrap of many figures at once: sums over clips (or speakers) drawn with replacement.

Every aggregate here is a ratio of two sums over clips: a mean is the sum of values over the number of clips, a corpus
rate is errors over words. A resampled set of clips is a vector of counts, so all rounds of all figures are one matrix
product. Clips of one speaker resemble each other; drawing whole speakers (the cluster bootstrap, Field and Welsh, 2007)
gives intervals that hold for other speakers, drawing clips gives those for other clips of the same speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.bootstrap import ROUNDS

Floats = NDArray[np.float64]
_CELLS = 2**20  # counts held at once; 8 MiB


def resampled_sums(table: Floats, *, seed: int = 0, rounds: int = ROUNDS) -> Floats:
    """Column sums ``[rounds, k]`` of as many rows of ``table`` ``[n, k]`` as it has, drawn with replacement.

    The same ``n``, ``seed`` and ``rounds`` draw the same rows, whatever is in them: figures of one set of clips are
    resampled together, and two systems on the same clips are paired.
    """
    units = len(table)
    block = max(1, _CELLS // max(1, units))
    parts = [_counts(units, min(block, rounds - start), seed, start) @ table for start in range(0, rounds, block)]
    return np.concatenate(parts)


def by_cluster(table: Floats, clusters: Sequence[str]) -> Floats:
    """Rows of ``table`` ``[n, k]`` summed by cluster, ``[clusters, k]``; a row of the cluster '' stands alone."""
    names = [name or f"\0{place}" for place, name in enumerate(clusters)]
    found, places = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
    summed = np.zeros((len(found), table.shape[1]))
    np.add.at(summed, places, table)
    return summed


@lru_cache(maxsize=8)
def _counts(units: int, rounds: int, seed: int, start: int) -> Floats:
    rng = np.random.default_rng([seed, start])
    drawn = rng.integers(units, size=(rounds, units)) + units * np.arange(rounds)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=rounds * units).reshape(rounds, units).astype(np.float64)
    counts.flags.writeable = False  # shared by every later call
    return counts
