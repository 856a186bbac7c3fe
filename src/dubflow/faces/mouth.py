"""Measures of the mouth in units of the face.

Lengths are divided by the distance between the outer corners of the eyes in the same frame, so they depend neither on
how large the face is in the picture nor on how it is turned in the picture plane. They are not smoothed unless asked:
an average over three frames takes the closure out of a /p/.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dubflow.faces.indices import INNER_LIPS, LOWER_LIP_INNER, MOUTH_CORNERS, OUTER_EYE_CORNERS, UPPER_LIP_INNER
from dubflow.faces.smoothing import smooth
from dubflow.faces.tracks import Floats


def eye_distance(landmarks: Floats) -> Floats:
    """Distance between the outer corners of the eyes in pixels, float32 [F], of landmarks [F, 478, 3]."""
    left, right = (landmarks[:, index, :2] for index in OUTER_EYE_CORNERS)
    distance: Floats = np.linalg.norm(right - left, axis=1)
    return distance


def mouth_opening(landmarks: Floats, window: int = 1) -> Floats:
    """Gap between the inner edges of the lips / distance between the outer eye corners.

    The gap is the mean over the three middle columns of the lips, measured at a right angle to the line through the
    eyes; lips that touch give 0.

    Args:
        landmarks: float32 [F, 478, 3] pixels, NaN where absent.
        window: frames to smooth over; 1 smooths nothing.

    Returns:
        float32 [F], NaN where absent; about 0.05 to 0.3 in speech.
    """
    upper = landmarks[:, UPPER_LIP_INNER, :2].mean(axis=1)
    lower = landmarks[:, LOWER_LIP_INNER, :2].mean(axis=1)
    left, right = (landmarks[:, index, :2] for index in OUTER_EYE_CORNERS)
    across = right - left
    down = np.stack([-across[:, 1], across[:, 0]], axis=1)
    gap = np.einsum("fc,fc->f", lower - upper, down)
    return _in_eye_units(np.maximum(gap, 0.0), landmarks, power=2, window=window)


def mouth_width(landmarks: Floats, window: int = 1) -> Floats:
    """Distance between the corners of the mouth / distance of the outer eye corners: float32 [F], NaN where absent."""
    left, right = (landmarks[:, index, :2] for index in MOUTH_CORNERS)
    return _in_eye_units(np.linalg.norm(right - left, axis=1), landmarks, power=1, window=window)


def mouth_area(landmarks: Floats, window: int = 1) -> Floats:
    """Area between the inner edges of the lips / squared distance of the outer eye corners.

    The polygon of the inner ring by the shoelace formula; it tells a round opening from a flat one of equal height.
    float32 [F], NaN where absent.
    """
    ring = landmarks[:, INNER_LIPS, :2].astype(np.float64)
    following = np.roll(ring, -1, axis=1)
    twice = np.sum(ring[..., 0] * following[..., 1] - ring[..., 1] * following[..., 0], axis=1)
    # Clockwise on a screen (y down) is positive; lips that cross each other by noise would be negative.
    return _in_eye_units(np.maximum(twice / 2, 0.0), landmarks, power=2, window=window)


def _in_eye_units(values: npt.NDArray[np.floating[Any]], landmarks: Floats, power: int, window: int) -> Floats:
    # Zero for lips that touch must not hide that there is no face: maximum() carries NaN, division by NaN does too.
    return smooth((values / eye_distance(landmarks) ** power).astype(np.float32), window)
