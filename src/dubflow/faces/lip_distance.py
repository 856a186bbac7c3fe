"""LMD and QD: how far the lips of two clips are apart, and that times how much they move.

JUST-DUB-IT's equation 4 is the mean distance of twenty lip points over frames and points, equation 7 its product with
the diversity of MAR. Its units are not said (.0172 and .0488 can be no pixels), nor whether heads are brought into one
place first. Here each generated face is laid onto the reference by the similarity transform of the points that speech
hardly moves (base of the nose, eye corners), and distances are divided by the diagonal of the reference's face box in
the same frame. Neither place nor size nor tilt of the face counts, and no figure of the paper's compares.

In the paper the reference is the clip that a dub started from, and *more* distance (Table 3's arrow) means that the
lips say something else; against the true clip of the same words less is better. The caller says which it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.faces.geometry import apply, box_of, similarity
from dubflow.faces.indices import STABLE
from dubflow.faces.mouth_aspect import insightface_lips

Floats = NDArray[np.float32]


def lip_distance(reference: Floats, generated: Floats) -> float | None:
    """LMD of landmarks float32 ``[F, 478, 3]`` each, in diagonals of the face box; None where no frame shows both.

    Raises:
        BadInput: ``faces.bad_landmarks``; ``faces.unequal_lengths`` for other numbers of frames.
    """
    true, other = insightface_lips(reference), insightface_lips(generated)
    if len(true) != len(other):
        raise BadInput(
            "faces.unequal_lengths", f"{len(true)} and {len(other)} frames are not on one clock.", "Trim one."
        )
    both = np.isfinite(reference).all(axis=(1, 2)) & np.isfinite(generated).all(axis=(1, 2))
    distances = [
        _distance(reference[frame].astype(np.float64), generated[frame].astype(np.float64), true[frame], other[frame])
        for frame in np.flatnonzero(both)
    ]
    return float(np.mean(distances)) if distances else None


def quality_diversity(distance: float, diversity: float) -> float:
    """QD, equation 7: LMD times the diversity of MAR.

    Raises:
        BadInput: ``faces.not_finite`` for what neither can be.
    """
    if not (np.isfinite(distance) and np.isfinite(diversity) and min(distance, diversity) >= 0):
        raise BadInput("faces.not_finite", f"{distance} and {diversity} are no distance and no deviation.")
    return distance * diversity


def _distance(reference: NDArray[np.float64], generated: NDArray[np.float64], true: Floats, other: Floats) -> float:
    stable = list(STABLE)
    onto = similarity(generated[stable, :2], reference[stable, :2])
    left, top, right, bottom = box_of(reference)
    diagonal = float(np.hypot(right - left, bottom - top))
    return float(np.linalg.norm(apply(onto, other.astype(np.float64)) - true, axis=1).mean() / diagonal)
