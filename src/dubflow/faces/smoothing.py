"""Smoothing over time that neither lags nor spreads gaps.

The public lip-reading pipelines average the *next* twelve frames, so their crop runs ahead of the face. Here the window
is centred, and a frame's neighbours enter in pairs (t - k and t + k), both or neither: whatever moves evenly is left
exactly where it is, also at the ends of the clip and beside gaps.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dubflow.errors import WrongUse

# Frames the public pipelines average landmarks over before they place a crop.
CROP_WINDOW = 12

Scalar = TypeVar("Scalar", bound=np.floating[Any])


def smooth(values: npt.NDArray[Scalar], window: int = CROP_WINDOW) -> npt.NDArray[Scalar]:
    """Centred moving average over axis 0.

    Args:
        values: float [F, ...]; a frame with any NaN counts as absent.
        window: frames averaged. An even window takes its two outermost frames at half weight, so that it stays centred;
            1 changes nothing.

    Returns:
        float [F, ...]: as ``values``; absent frames stay as they are.

    Raises:
        WrongUse: ``faces.bad_window`` below 1.
    """
    if window < 1:
        raise WrongUse("faces.bad_window", f"A window of {window} frames averages nothing.", "Use 1 or more frames.")
    frames = len(values)
    present = present_frames(values)
    clean = np.where(_column(present, values), values, 0.0).astype(np.float64)
    total, weight = clean.copy(), present.astype(np.float64)
    for reach in range(1, min(window // 2, frames - 1) + 1):
        share = 0.5 if window % 2 == 0 and reach == window // 2 else 1.0
        inner = slice(reach, frames - reach)
        before, after = slice(0, frames - 2 * reach), slice(2 * reach, frames)
        if frames <= 2 * reach:
            break
        both = share * (present[before] & present[after])
        total[inner] += _column(both, values) * (clean[before] + clean[after])
        weight[inner] += 2 * both
    mean = total / _column(np.where(present, weight, 1.0), values)
    return np.where(_column(present, values), mean, values).astype(values.dtype)


def fill_gaps(values: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Absent frames of ``values`` [F, ...] on a straight line between their neighbours, held at the ends.

    Values without any present frame come back as they are.
    """
    present = present_frames(values)
    if present.all() or not present.any():
        return values.copy()
    times, known = np.arange(len(values)), np.flatnonzero(present)
    position = np.clip(np.interp(times, known, np.arange(len(known))), 0, len(known) - 1)
    left = np.floor(position).astype(np.intp)
    right = np.minimum(left + 1, len(known) - 1)
    share = _column(position - left, values)
    anchors = values[known].astype(np.float64)
    filled = (1 - share) * anchors[left] + share * anchors[right]
    return np.where(_column(present, values), values, filled).astype(values.dtype)


def present_frames(values: npt.NDArray[Scalar]) -> npt.NDArray[np.bool_]:
    """bool [F]: frames of ``values`` [F, ...] without any NaN."""
    return np.isfinite(values.reshape(len(values), -1)).all(axis=1) if values.size else np.zeros(len(values), bool)


def _column(per_frame: npt.NDArray[Any], like: npt.NDArray[Scalar]) -> npt.NDArray[Any]:
    """``per_frame`` [F] shaped to broadcast against ``like`` [F, ...]."""
    return per_frame.reshape(-1, *[1] * (like.ndim - 1))
