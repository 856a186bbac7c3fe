"""How well a judge tells pairs of the same from pairs of different: the equal error rate.

At the threshold where as many same pairs are refused as different pairs are accepted, that share of errors: 0 for a
judge that never errs, 0.5 for one that guesses. It says how far a cosine of this judge may be trusted on material of
one kind, and it belongs beside every figure of a judge that has learnt (or not learnt) on other material.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dubflow.errors import BadInput


@dataclass(frozen=True)
class EqualError:
    """Rate 0 to 1, the score at which it is reached, and the pairs it rests on."""

    rate: float
    threshold: float
    same: int
    different: int


def equal_error(same: ArrayLike, different: ArrayLike) -> EqualError:
    """From scores of pairs that belong together (``same`` ``[n]``) and that do not (``different`` ``[m]``).

    A higher score means more alike. Between two thresholds the rates are joined by straight lines.

    Raises:
        BadInput: ``judging.nothing_to_judge`` without pairs of both kinds, ``judging.not_finite``.
    """
    alike, unlike = (np.sort(np.asarray(one, dtype=np.float64).ravel()) for one in (same, different))
    if not alike.size or not unlike.size:
        raise BadInput("judging.nothing_to_judge", "An equal error rate needs pairs of both kinds.", "Give some.")
    if not (np.isfinite(alike).all() and np.isfinite(unlike).all()):
        raise BadInput("judging.not_finite", "A pair's score is no number.", "Leave it out, and say so.")
    thresholds = np.unique(np.concatenate([alike, unlike]))
    thresholds = np.append(thresholds, np.nextafter(thresholds[-1], np.inf))
    refused = np.searchsorted(alike, thresholds, side="left") / alike.size
    accepted = 1 - np.searchsorted(unlike, thresholds, side="left") / unlike.size
    gap = accepted - refused  # falls from 1 to -1
    after = int(np.argmax(gap <= 0))
    before = max(after - 1, 0)
    share = gap[before] / (gap[before] - gap[after]) if gap[before] > 0 else 0.0
    rate = (1 - share) * accepted[before] + share * accepted[after]
    threshold = (1 - share) * thresholds[before] + share * thresholds[after]
    return EqualError(float(rate), float(threshold), alike.size, unlike.size)


def equal_error_of_table(scores: NDArray[np.float64], who: Sequence[str]) -> EqualError:
    """Of all pairs of a symmetric table ``[N, N]`` whose rows and columns belong to ``who``; the diagonal is left out.

    Raises:
        BadInput: as :func:`equal_error`, and ``judging.bad_vectors`` for a table of another shape.
    """
    table, names = np.asarray(scores, dtype=np.float64), np.asarray(who)
    if table.shape != (len(names), len(names)):
        raise BadInput("judging.bad_vectors", f"{list(table.shape)} scores do not belong to {len(names)} recordings.")
    first, second = np.triu_indices(len(names), 1)
    together = names[first] == names[second]
    return equal_error(table[first, second][together], table[first, second][~together])
