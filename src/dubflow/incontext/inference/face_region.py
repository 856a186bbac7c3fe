"""Where the new picture stands when the rest of the source's is to stay: the face, with soft edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubflow.faces.tracks import FaceTrack
from dubflow.incontext.training.face_masks import face_mask

WIDER = 0.12
"""Of the face's height: how much further than the landmarks the region goes; an opening mouth lowers the chin."""
SOFT = 0.08
"""Of the face's height: the width of the edge over which the two pictures blend."""


def face_weight(track: FaceTrack, height: int, width: int) -> NDArray[np.uint8]:
    """uint8 ``[F, height, width]``: 255 on the face, 0 away from it, falling in between.

    Raises:
        BadInput: ``incontext.no_face`` when the track never shows a face.
    """
    import cv2

    mask = face_mask(track, height, width)
    wider = max(1, round(WIDER * track.height))
    soft = max(1, round(SOFT * track.height))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (wider + soft) + 1,) * 2)
    weights = np.empty(mask.shape, np.uint8)
    for weight, inside in zip(weights, mask, strict=True):
        grown = cv2.dilate(inside.astype(np.uint8) * 255, around)
        # A box blur of 2 soft + 1 pixels: 255 deeper inside than that, exactly 0 further outside.
        weight[:] = cv2.blur(grown, (2 * soft + 1,) * 2, borderType=cv2.BORDER_REPLICATE)
    return weights
