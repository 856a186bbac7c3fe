"""Where the lips are, frame by frame, as a clip that is white there and black elsewhere (JUST-DUB-IT, A.1).

The region is the outer edge of the lips, widened, because the jaw and the corners of the mouth move with what is said.
In a frame where the face was lost the lips stand between where they were before and after.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.faces.indices import MOUTH_CORNERS, OUTER_LIPS
from dubflow.faces.tracks import FaceTrack
from dubflow.incontext.pairs.engine_parts import Frames, Span

Mask = NDArray[np.bool_]


class LipSettings(Strict):
    """What counts as the lips."""

    margin: float = Field(
        0.35, ge=0, le=2, description="How far the region goes beyond the outer edge of the lips, in mouth widths."
    )
    seen: float = Field(
        0.5, gt=0, le=1, description="Least share of a half's frames in which the face must be found to trust the rest."
    )


@dataclass(frozen=True, eq=False)
class LipMask:
    """The lips of a clip within some of its frames.

    Attributes:
        mask: bool ``[F, H, W]``, False outside of the frames asked for.
        guessed: how many of these frames had no face of their own, by reason.
    """

    mask: Mask
    guessed: dict[str, int]


def lip_mask(track: FaceTrack, height: int, width: int, span: Span, settings: LipSettings) -> LipMask:
    """The lips of ``track`` in the frames of ``span``, in a clip of ``len(track)`` frames of ``height`` x ``width``.

    Raises:
        BadInput: ``incontext.lips_unseen`` when too few of these frames show the face, with the reasons counted.
    """
    import cv2

    inside = slice(span.start, span.stop)
    found = track.found[inside]
    guessed: dict[str, int] = dict(Counter(reason for reason in track.reasons[inside] if reason is not None))
    if not found.any() or found.mean() < settings.seen:
        raise BadInput(
            "incontext.lips_unseen",
            f"The face was found in {int(found.sum())} of {span.frames} frames.",
            "Make the clip again with another seed.",
            reasons=guessed,
        )
    lips = _between(track.landmarks[inside][:, OUTER_LIPS, :2], found)
    corners = _between(track.landmarks[inside][:, MOUTH_CORNERS, :2], found)
    mouth = float(np.median(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)))
    wider = round(settings.margin * mouth)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wider + 1,) * 2)
    drawn = np.zeros((len(track), height, width), np.uint8)
    for image, ring in zip(drawn[inside], lips, strict=True):
        # Pixel centres lie at .5 of our coordinates and at whole numbers of OpenCV's.
        cv2.fillPoly(image, [np.round(ring - 0.5).astype(np.int32)], 1)
        image[:] = cv2.dilate(image, around)
    return LipMask(drawn.astype(np.bool_), guessed)


def mask_video(mask: Mask) -> Frames:
    """White where ``mask`` ``[F, H, W]`` is true, black elsewhere: ``[F, H, W, 3]``."""
    return np.repeat((mask.astype(np.uint8) * 255)[..., None], 3, axis=3)


def _between(points: NDArray[np.float32], found: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Points ``[F, n, 2]`` with those of frames that were not found on the line between their neighbours' in time;
    before the first and after the last found they stand still."""
    seen = np.flatnonzero(found)
    flat = points[seen].reshape(len(seen), -1).astype(np.float64)
    filled = np.stack([np.interp(np.arange(len(found)), seen, values) for values in flat.T], axis=1)
    return filled.reshape(points.shape)
