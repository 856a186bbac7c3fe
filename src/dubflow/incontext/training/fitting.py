"""Pictures of any size in the size of a training: scaled as a whole, never stretched; what is left over is black."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fitted(frames: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Frames ``[F, H, W, 3]`` as ``[F, height, width, 3]``; both are uint8."""
    import cv2

    if frames.shape[1:3] == (height, width):
        return frames
    scale = min(height / frames.shape[1], width / frames.shape[2])
    rows = min(height, max(1, round(frames.shape[1] * scale)))
    columns = min(width, max(1, round(frames.shape[2] * scale)))
    top, left = (height - rows) // 2, (width - columns) // 2
    whole = np.zeros((len(frames), height, width, 3), dtype=np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    for target, frame in zip(whole, frames, strict=True):
        target[top : top + rows, left : left + columns] = cv2.resize(frame, (columns, rows), interpolation=method)
    return whole
