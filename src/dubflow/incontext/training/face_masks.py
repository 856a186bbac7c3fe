"""Where the face is: drawn from landmarks frame by frame, and brought to the grid of the latents.

A mask weighs the loss and is never an input (A.1: "in the LoRA training and inference, no mask is used"). Its face is
the hull of all landmarks. To latents as the authors' code does: binarised at 0.1, each frame to the nearest of the
latents' grid, the first frame kept and of every further eight the greatest value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.faces.tracks import FaceTrack

Mask = NDArray[np.bool_]
THRESHOLD = 0.1


def face_mask(track: FaceTrack, height: int, width: int) -> Mask:
    """Bool ``[F, height, width]``, True in the hull of the landmarks; frames without the face are taken from the
    nearest frame with one.

    Raises:
        BadInput: ``incontext.no_face`` when the track never shows a face.
    """
    import cv2

    if not track.found.any():
        raise BadInput("incontext.no_face", "The track shows no face in any frame.", "Train without a mask.")
    seen = np.flatnonzero(track.found)
    made = np.zeros((len(track), height, width), dtype=np.uint8)
    for frame, image in enumerate(made):
        nearest = seen[np.abs(seen - frame).argmin()]
        # Pixel centres lie at .5 of our coordinates and at whole numbers of OpenCV's.
        points = np.round(track.landmarks[nearest, :, :2] - 0.5).astype(np.int32)
        cv2.fillConvexPoly(image, cv2.convexHull(points), 1)
    return made.astype(np.bool_)


def latent_mask(mask: NDArray[Any], rows: int, columns: int, temporal: int = 8) -> Mask:
    """A mask of pixels ``[F, H, W]`` in 0..1 (or bool) as one of latents, bool ``[(F - 1) / 8 + 1, rows, columns]``.

    Raises:
        BadInput: ``incontext.bad_mask`` unless there are 8k + 1 frames of some size.
    """
    if mask.ndim != 3 or (len(mask) - 1) % temporal or 0 in mask.shape:
        raise BadInput(
            "incontext.bad_mask", f"A mask {mask.shape} has not 8k + 1 frames [F, H, W].", "Cut it as its clip is."
        )
    _, height, width = mask.shape
    y, x = np.arange(rows) * height // rows, np.arange(columns) * width // columns
    small = (mask > THRESHOLD)[:, y[:, None], x[None, :]]
    return np.stack(list(_grouped(small, temporal)))


def _grouped(mask: Mask, temporal: int) -> Iterator[Mask]:
    yield mask[0]
    for first in range(1, len(mask), temporal):
        yield mask[first : first + temporal].max(axis=0)
