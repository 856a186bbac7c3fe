r"""MAR and its diversity: how open the mouth is for its width, and how much that changes.

JUST-DUB-IT's equation 5 divides the distances of two pairs of points, numbered as InsightFace numbers its 106:

.. math:: \text{MAR}_t = \frac{\lVert P_{55} - P_{61} \rVert}{\lVert P_{52} - P_{58} \rVert}

In that numbering 52 and 61 are the mouth's two corners, 55 and 58 lie beside them on the lower lip, so both distances
run across the mouth: no height over width, as the text says it is (the numbers look like those of the 68-point scheme
moved by four). Both are here and must not be mixed: ``paper``, to the letter, and ``geometric``, the gap between the
inner edges of the lips over the distance of the corners. Equation 6, the diversity, is the standard deviation over
time. It grows with trembling as with speech: a figure to be read beside the true clip's, not one to be maximised.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.faces.indices import MESH_TO_68
from dubflow.faces.mouth import mouth_opening, mouth_width
from dubflow.faces.tracks import POINTS

MarKind = Literal["paper", "geometric"]
Floats = NDArray[np.float32]

FIRST_LIP_POINT = 52
"""Of InsightFace's 106; the lips are 52 to 71."""

# InsightFace's lip points in the order of the 68-point scheme's 48 to 67 (outer ring from the left corner over the
# upper lip, then the inner ring likewise).
_IN_68_ORDER = (52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55, 65, 66, 62, 70, 69, 57, 60, 54)


def insightface_lips(landmarks: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Mesh points ``[F, 20, 2]`` nearest to InsightFace's points 52 to 71, of landmarks ``[F, 478, 2 or 3]``.

    Raises:
        BadInput: ``faces.bad_landmarks``.
    """
    points = np.asarray(landmarks)
    if points.ndim != 3 or points.shape[1] != POINTS or points.shape[2] not in (2, 3):
        raise BadInput("faces.bad_landmarks", f"Landmarks are [F, {POINTS}, 3], not {list(points.shape)}.")
    lips = np.empty((len(points), 20, 2), points.dtype)
    lips[:, np.array(_IN_68_ORDER) - FIRST_LIP_POINT] = points[:, MESH_TO_68[48:], :2]
    return lips


def paper_mar(lips: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Equation 5 to the letter, ``[F]``, of InsightFace's points 52 to 71 ``[F, 20, 2]``; NaN where absent.

    Raises:
        BadInput: ``faces.bad_landmarks``.
    """
    points = np.asarray(lips, dtype=np.float64)
    if points.ndim != 3 or points.shape[1:] != (20, 2):
        raise BadInput("faces.bad_landmarks", f"Lips are [F, 20, 2], not {list(points.shape)}.")
    over, under = (
        np.linalg.norm(points[:, a - FIRST_LIP_POINT] - points[:, b - FIRST_LIP_POINT], axis=1)
        for a, b in ((55, 61), (52, 58))
    )
    return np.divide(over, under, out=np.full(len(points), np.nan), where=under > 0)


def mouth_aspect(landmarks: Floats, kind: MarKind = "geometric") -> NDArray[np.float64]:
    """MAR ``[F]`` of landmarks float32 ``[F, 478, 3]``; NaN where no face was found.

    Raises:
        BadInput: ``faces.bad_landmarks``.
    """
    lips = insightface_lips(landmarks)
    if kind == "paper":
        return paper_mar(lips)
    opening, width = mouth_opening(landmarks).astype(np.float64), mouth_width(landmarks).astype(np.float64)
    return np.divide(opening, width, out=np.full(len(lips), np.nan), where=width > 0)


def mar_diversity(aspect: NDArray[np.floating[Any]]) -> float | None:
    """Equation 6: standard deviation over the frames ``[F]`` with a face (divided by their number); None without one.

    Raises:
        BadInput: ``faces.bad_curve``.
    """
    curve = np.asarray(aspect, dtype=np.float64)
    if curve.ndim != 1:
        raise BadInput("faces.bad_curve", f"A curve of the mouth has one value a frame, not {list(curve.shape)}.")
    seen = curve[np.isfinite(curve)]
    return float(seen.std()) if seen.size else None
