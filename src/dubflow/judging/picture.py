r"""PSNR and SSIM of a dubbed picture, all of it or only what lies outside the face, which a dub must leave alone.

.. math:: \text{PSNR} = 10 \log_{10} \frac{255^2}{\text{MSE}}

over the pixels' three colours; equal pictures have no finite figure, and they, like all that differ by less, count
100 dB. SSIM is Wang, Bovik, Sheikh and Simoncelli's (2004): a
Gaussian window of 11 x 11 pixels, deviation 1.5, K of .01 and .03, on the luma (BT.601), averaged over the pixels that
count. A clip's figure is the mean of its frames'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, missing_extra
from dubflow.faces.frames import Picture, rgb_frame
from dubflow.faces.tracks import FaceTrack

PSNR_OF_EQUALS = 100.0
DILATION = 0.1
"""Of the face box's longer side, by which the hull of the landmarks grows before it is left out."""

_LUMA = np.array([0.299, 0.587, 0.114])
_SIGMA, _REACH = 1.5, 5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PictureScore:
    """Means over the frames that have pixels to compare.

    Attributes:
        psnr: dB, 100 for equal. ssim: up to 1. frames: that it rests on. share: mean share of pixels that count.
    """

    psnr: float
    ssim: float
    frames: int
    share: float


def psnr(reference: Picture, other: Picture, mask: Mask | None = None) -> float:
    """dB of uint8 ``[H, W, 3]`` (or grey) against its reference, over the pixels where ``mask`` ``[H, W]`` is true.

    Raises:
        BadInput: ``judging.unlike_pictures``, ``judging.nothing_to_judge`` for a mask of nothing.
    """
    first, second = _pair(reference, other)
    chosen = _chosen(mask, first)
    error = float(np.square(first[chosen] - second[chosen]).mean())
    return PSNR_OF_EQUALS if error == 0 else min(10 * float(np.log10(255**2 / error)), PSNR_OF_EQUALS)


def ssim(reference: Picture, other: Picture, mask: Mask | None = None) -> float:
    """-1 to 1; arguments and errors as :func:`psnr`.

    With a mask, what lies outside it is taken from the reference in both first, so that the window at the mask's edge
    does not look at what does not count.
    """
    first, second = _pair(reference, other)
    chosen = _chosen(mask, first)
    second = np.where(chosen[..., None], second, first)
    return float(_ssim_map(first @ _LUMA, second @ _LUMA)[chosen].mean())


def outside_face(shape: tuple[int, int], *tracks: NDArray[np.float32], dilation: float = DILATION) -> Mask:
    """``[H, W]``: where none of the faces is. Each of ``tracks`` holds one frame's landmarks ``[478, 3]`` in pixels.

    The face is the convex hull of its landmarks, grown by ``dilation`` times the longer side of their box: a dub moves
    the chin, and pastes with soft edges. A face that was not found (NaN) hides nothing.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    try:
        import cv2
    except ImportError as error:
        raise missing_extra("cv2") from error
    inside = np.zeros(shape, np.uint8)
    for landmarks in tracks:
        points = np.asarray(landmarks, dtype=np.float64)[:, :2]
        if not np.isfinite(points).all():
            continue
        face = np.zeros(shape, np.uint8)
        cv2.fillConvexPoly(face, cv2.convexHull(np.floor(points).astype(np.int32)), 1)
        reach = round(dilation * float(np.ptp(points, axis=0).max()))
        around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        inside |= cv2.dilate(face, around)
    outside: Mask = inside == 0
    return outside


def score_outside_face(
    reference: Sequence[Picture] | Picture, other: Sequence[Picture] | Picture, *tracks: FaceTrack
) -> PictureScore | None:
    """Frames of a dub against those it was made from, without the faces of any of ``tracks`` (give both clips').

    None where the faces hide every frame completely.

    Raises:
        BadInput: ``judging.unlike_pictures``; ``judging.unequal_lengths`` for other numbers of frames;
            ``judging.nothing_to_judge`` without frames.
    """
    if len({len(reference), len(other), *map(len, tracks)}) > 1:
        raise BadInput("judging.unequal_lengths", f"{len(reference)} and {len(other)} frames, or tracks, differ.")
    if not len(reference):
        raise BadInput("judging.nothing_to_judge", "The clip has no frames.")
    rows = []
    for index in range(len(reference)):
        true, made = reference[index], other[index]
        mask = outside_face((true.shape[0], true.shape[1]), *(track.landmarks[index] for track in tracks))
        if mask.any():
            rows.append((psnr(true, made, mask), ssim(true, made, mask), float(mask.mean())))
    if not rows:
        return None
    levels, likeness, shares = np.mean(rows, axis=0)
    return PictureScore(float(levels), float(likeness), len(rows), float(shares))


def _pair(reference: Picture, other: Picture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = rgb_frame(reference), rgb_frame(other)
    if first.shape != second.shape:
        raise BadInput(
            "judging.unlike_pictures",
            f"Pictures {list(first.shape)} and {list(second.shape)} differ in size.",
            "Scale.",
        )
    return first.astype(np.float64), second.astype(np.float64)


def _chosen(mask: Mask | None, picture: NDArray[np.float64]) -> Mask:
    chosen = np.ones(picture.shape[:2], np.bool_) if mask is None else np.asarray(mask, dtype=np.bool_)
    if chosen.shape != picture.shape[:2]:
        raise BadInput(
            "judging.unlike_pictures", f"A mask {list(chosen.shape)} is for a picture of another size.", "Make it anew."
        )
    if not chosen.any():
        raise BadInput("judging.nothing_to_judge", "The mask leaves no pixel to compare.")
    return chosen


def _ssim_map(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter

    def local(values: NDArray[np.float64]) -> NDArray[np.float64]:
        smoothed: NDArray[np.float64] = gaussian_filter(values, _SIGMA, radius=_REACH, mode="mirror")
        return smoothed

    mean_a, mean_b = local(first), local(second)
    spread = local(first * first) - mean_a**2 + local(second * second) - mean_b**2
    together = local(first * second) - mean_a * mean_b
    return ((2 * mean_a * mean_b + _C1) * (2 * together + _C2)) / ((mean_a**2 + mean_b**2 + _C1) * (spread + _C2))
