"""The two crops that SyncNet is fed, under the names of the figures they give: ``lse_lrs`` and ``lse_pipeline``.

``lse_pipeline`` follows SyncNet's ``run_pipeline.py``: half the longer side of the face's box is the unit; the square
reaches from 1 unit above to 1.8 below the middle of the box and 1.4 to either side, after a median filter over 13
frames, with grey 110 outside the frame, scaled to 224 pixels. What differs and cannot be helped without its weights is
the detector: boxes here are those of our landmarks, which end at hairline and chin, not S3FD's. ``lse_lrs`` is the
whole frame scaled to 224 pixels, as Wav2Lip's script for LRS does with its pre-cut faces.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.faces.crops import Frames
from dubflow.faces.frames import Picture, rgb_frame
from dubflow.faces.smoothing import fill_gaps
from dubflow.faces.tracks import FaceTrack

SIDE = 224
CROP_SCALE = 0.4
MEDIAN_FRAMES = 13
PADDING_GREY = 110


def lrs_crops(frames: Frames) -> Picture:
    """uint8 ``[F, 224, 224, 3]`` RGB: whole frames, stretched to a square."""
    import cv2

    crops = np.empty((len(frames), SIDE, SIDE, 3), np.uint8)
    for index, frame in enumerate(frames):
        crops[index] = cv2.resize(rgb_frame(frame), (SIDE, SIDE))
    return crops


def pipeline_crops(frames: Frames, track: FaceTrack) -> Picture:
    """uint8 ``[F, 224, 224, 3]`` RGB: the face as SyncNet's pipeline cuts it.

    Raises:
        BadInput: ``judging.frames_differ``, ``judging.no_face``.
    """
    import cv2

    if len(frames) != len(track):
        raise BadInput(
            "judging.frames_differ",
            f"The track has {len(track)} frames, the clip {len(frames)}.",
            "Crop the frames that the landmarks were found in.",
        )
    if not track.found.any():
        raise BadInput("judging.no_face", "The track never found its face, so there is nothing to crop.")
    crops = np.empty((len(track), SIDE, SIDE, 3), np.uint8)
    for index, (half, x, y) in enumerate(_squares(fill_gaps(track.boxes))):
        margin = int(half * (1 + 2 * CROP_SCALE))
        around = ((margin, margin), (margin, margin), (0, 0))
        padded = np.pad(rgb_frame(frames[index]), around, constant_values=PADDING_GREY)
        middle_x, middle_y = x + margin, y + margin
        reach = half * (1 + CROP_SCALE)
        rows = slice(max(0, int(middle_y - half)), int(middle_y + half * (1 + 2 * CROP_SCALE)))
        columns = slice(max(0, int(middle_x - reach)), int(middle_x + reach))
        crops[index] = cv2.resize(padded[rows, columns], (SIDE, SIDE))
    return crops


def _squares(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Half the longer side, and the centre, of boxes ``[F, 4]``: ``[F, 3]``, each through the median filter."""
    from scipy.signal import medfilt

    from_to = boxes.astype(np.float64)
    half = np.maximum(from_to[:, 3] - from_to[:, 1], from_to[:, 2] - from_to[:, 0]) / 2
    x, y = (from_to[:, 0] + from_to[:, 2]) / 2, (from_to[:, 1] + from_to[:, 3]) / 2
    # The public script lets the filter run into zeros at the ends, which pulls its first and last squares towards the
    # frame's corner; the outermost values are repeated here instead.
    wide = np.pad(np.stack([half, x, y]), ((0, 0), (MEDIAN_FRAMES // 2,) * 2), mode="edge")
    kept = slice(MEDIAN_FRAMES // 2, MEDIAN_FRAMES // 2 + len(boxes))
    return np.stack([medfilt(row, MEDIAN_FRAMES)[kept] for row in wide], axis=1)
