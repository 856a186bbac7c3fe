r"""Mel-cepstral distortion (Kubichek, 1993), frame by frame or along the cheapest path.

.. math:: \text{MCD} = \frac{10 \sqrt 2}{\ln 10} \lVert c - c' \rVert

over coefficients 1 and up of the mel-cepstrum (SPTK's convention: ``ln |H| = \sum_m c_m \cos m \omega``), in dB. The
path of dynamic time warping takes steps (1, 1), (1, 0), (0, 1); its cost is divided by the number of frames of the
**reference**, as M. Shannon's ``mcd`` has it (others divide by the length of the path, which gives smaller figures).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.speech.codecs.world.analysis import Features, analyse
from dubflow.speech.codecs.world.normalisation import active

COEFFICIENTS = 24
_TO_DB = 10 * np.sqrt(2) / np.log(10)

Floats = NDArray[np.float64]


def spectra_of(waveform: NDArray[np.float32]) -> Features:
    """What the functions below compare, of a 16 kHz mono waveform ``[N]``: WORLD's frames, 80 a second.

    Raises:
        BadInput: ``speech.bad_waveform``.
        WrongUse: ``install.missing_extra``.
    """
    return analyse(waveform)


def cepstra_of(features: Features) -> Floats:
    """Mel-cepstra 1 to 24 in SPTK's convention ``[L, 24]``; WORLD's cosines are longer by the root of 2."""
    coefficients: Floats = features.cepstrum[:, 1 : 1 + COEFFICIENTS] / np.sqrt(2)
    return coefficients


def mcd_plain(reference: Features, other: Features) -> float | None:
    """Mean distortion in dB where the reference speaks, both on one clock; None where it never does.

    Raises:
        BadInput: ``judging.unequal_lengths`` when ``other`` is shorter by more than a frame.
    """
    if abs(len(reference) - len(other)) > 1:
        raise BadInput(
            "judging.unequal_lengths",
            f"{len(reference)} and {len(other)} frames are not on one clock.",
            "Compare them with mcd_dtw.",
        )
    common = min(len(reference), len(other))
    spoken = active(reference)[:common]
    if not spoken.any():
        return None
    difference = (cepstra_of(reference)[:common] - cepstra_of(other)[:common])[spoken]
    return float(_TO_DB * np.linalg.norm(difference, axis=1).mean())


def mcd_dtw(reference: Features, other: Features) -> float | None:
    """Distortion in dB along the cheapest path, both from their first to their last spoken frame; None in silence."""
    if not (active(reference).any() and active(other).any()):
        return None
    return warped_distortion(cepstra_of(reference)[_spoken(reference)], cepstra_of(other)[_spoken(other)])


def warped_distortion(reference: Floats, other: Floats) -> float:
    """MCD in dB of mel-cepstra without coefficient 0, ``[n, D]`` and ``[m, D]``, along the cheapest path.

    Raises:
        BadInput: ``judging.unequal_lengths`` without frames or with unequal widths.
    """
    if not len(reference) or not len(other) or reference.shape[1:] != other.shape[1:]:
        raise BadInput(
            "judging.unequal_lengths", f"Cepstra {list(reference.shape)} and {list(other.shape)} do not compare."
        )
    squares = np.square(reference).sum(1)[:, None] + np.square(other).sum(1) - 2 * reference @ other.T
    return float(_TO_DB * cheapest_path(np.sqrt(np.maximum(squares, 0))) / len(reference))


def cheapest_path(costs: Floats) -> float:
    """Least sum of ``costs`` ``[n, m]`` from corner to corner by steps (1, 1), (1, 0), (0, 1).

    The table is filled along anti-diagonals, whose cells do not depend on each other.
    """
    rows, columns = costs.shape
    before = np.full(rows + 1, np.inf)  # diagonals are indexed by row + 1; row 0 is outside
    last = np.full(rows + 1, np.inf)
    before[0] = 0.0
    for diagonal in range(rows + columns - 1):
        row = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        now = np.full(rows + 1, np.inf)
        cheapest = np.minimum(np.minimum(last[row + 1], last[row]), before[row])
        now[row + 1] = costs[row, diagonal - row] + cheapest
        before, last = last, now
    return float(last[rows])


def _spoken(features: Features) -> slice:
    frames = np.flatnonzero(active(features))
    return slice(int(frames[0]), int(frames[-1]) + 1)
