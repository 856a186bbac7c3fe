"""Context above target at the same moments, as one picture: where the lips differ is seen without playing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.page.picture import data_address
from dubflow.media.decode import read_clip

MOMENTS = 6
_HEIGHT = 96


def stills(context: Path, target: Path, moments: int = MOMENTS) -> str | None:
    """Address of a PNG of two rows; None where a clip has no frame.

    Raises:
        BadInput: as :func:`dubflow.media.decode.read_clip`.
    """
    import cv2

    rows = [_row(path, moments) for path in (context, target)]
    if any(row is None for row in rows):
        return None
    width = min(row.shape[1] for row in rows if row is not None)
    both = np.concatenate([row[:, :width] for row in rows if row is not None])
    _, coded = cv2.imencode(".png", cv2.cvtColor(both, cv2.COLOR_RGB2BGR))
    return data_address(coded.tobytes())


def _row(path: Path, moments: int) -> NDArray[np.uint8] | None:
    import cv2

    frames = read_clip(path, audio=False).frames
    if frames is None or not len(frames):
        return None
    places = np.linspace(0, len(frames) - 1, moments + 2)[1:-1].round().astype(int)
    width = max(1, round(frames.shape[2] * _HEIGHT / frames.shape[1]))
    small = [cv2.resize(frames[place], (width, _HEIGHT), interpolation=cv2.INTER_AREA) for place in places]
    row: NDArray[np.uint8] = np.concatenate(small, axis=1).astype(np.uint8)
    return row
