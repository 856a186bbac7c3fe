"""Frames as the rest of this room wants them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dubflow.errors import BadInput

Picture = npt.NDArray[np.uint8]


def rgb_frame(frame: npt.NDArray[Any]) -> Picture:
    """``frame`` as contiguous uint8 [H, W, 3]; grey frames [H, W] and [H, W, 1] get three equal channels.

    Raises:
        BadInput: ``faces.bad_frame`` for any other shape or type, or a frame without pixels.
    """
    shape = frame.shape
    if frame.dtype != np.uint8 or frame.size == 0 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))):
        raise BadInput(
            "faces.bad_frame",
            f"A frame has shape {shape} and type {frame.dtype}.",
            "Frames are uint8, [height, width, 3] in RGB or [height, width] in grey.",
        )
    if len(shape) == 2:
        frame = frame[:, :, None]
    return np.ascontiguousarray(np.broadcast_to(frame, (*frame.shape[:2], 3)))


def grey_frame(frame: npt.NDArray[Any]) -> Picture:
    """``frame`` as uint8 [H, W]: luma of ITU-R BT.601 of an RGB frame; a grey frame as it is."""
    import cv2

    if frame.ndim == 2:
        return np.ascontiguousarray(frame)
    grey: Picture = cv2.cvtColor(rgb_frame(frame), cv2.COLOR_RGB2GRAY)
    return grey
