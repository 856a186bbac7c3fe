"""Similarity transforms, boxes, and pictures cut out through them.

An affine map is float64 [2, 3] and takes points of the frame to points of the picture cut out. Points follow the
convention of ``tracks``: the centre of the top-left pixel is (0.5, 0.5), so a map does not depend on how finely either
side is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dubflow.faces.frames import Picture

# Pixels: frames whose short side is below the first are not cut into tiles, above the second they are cut twice.
SMALLEST_TILE = 64
LARGE_FRAME = 480

Affine = npt.NDArray[np.float64]
Points = npt.NDArray[np.floating[Any]]


def similarity(source: Points, target: Points) -> Affine:
    """Rotation, one scale and shift that bring ``source`` [N, 2] closest to ``target`` [N, 2] in least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991, equations 40 to
    43; mirroring is not allowed. In the plane the sum over complex numbers is the whole solution.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    start = (source - source_mean) @ np.array([1, 1j])
    end = (target - target_mean) @ np.array([1, 1j])
    turn = np.vdot(start, end) / max(float(np.vdot(start, start).real), 1e-12)
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.concatenate([linear, (target_mean - linear @ source_mean)[:, None]], axis=1)


def square_map(centre: Points, side: float, size: int, angle: float = 0.0) -> Affine:
    """The map that cuts a square out of a frame.

    Args:
        centre: [2] of the square in the frame. side: its length in the frame, pixels.
        size: length of the picture cut out, pixels.
        angle: radians by which the frame's content is turned anticlockwise on the screen, so that a face whose eye line
            falls to the right by this angle comes out level.
    """
    scale = size / side
    linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.concatenate([linear, (size / 2 - linear @ centre)[:, None]], axis=1)


def scale_of(affine: Affine) -> float:
    """How much longer a line is after the map."""
    return float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))


def apply(affine: Affine, points: Points) -> Points:
    """``points`` [..., 2 or 3] after the map; a third coordinate is a depth and only scaled."""
    moved: Points = points[..., :2] @ affine[:, :2].T + affine[:, 2]
    if points.shape[-1] == 2:
        return moved
    return np.concatenate([moved, points[..., 2:] * scale_of(affine)], axis=-1)


def inverse(affine: Affine) -> Affine:
    """The map back."""
    linear = np.linalg.inv(affine[:, :2])
    return np.concatenate([linear, (-linear @ affine[:, 2])[:, None]], axis=1)


def warp(frame: Picture, affine: Affine, size: int) -> Picture:
    """The picture uint8 [size, size(, 3)] that ``affine`` cuts out of ``frame``; outside the frame its edge goes on.

    Shrinking averages the pixels it skips, so that a large face does not flicker; growing is bicubic.
    """
    import cv2

    height, width = frame.shape[:2]
    scale = scale_of(affine)
    step = min(int(1 / scale), height, width)
    if step >= 2:
        small_width, small_height = width // step, height // step
        frame = cv2.resize(frame, (small_width, small_height), interpolation=cv2.INTER_AREA)
        affine = affine * np.array([width / small_width, height / small_height, 1.0])
    # OpenCV counts from the centre of the first pixel, we from its corner.
    shift = affine[:, :2] @ np.array([0.5, 0.5]) - 0.5
    matrix = np.concatenate([affine[:, :2], (affine[:, 2] + shift)[:, None]], axis=1)
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
    picture: Picture = cv2.warpAffine(frame, matrix, (size, size), flags=method, borderMode=cv2.BORDER_REPLICATE)
    return picture


def box_of(landmarks: Points) -> Points:
    """[4]: left, top, right, bottom of landmarks [N, 2 or 3]."""
    return np.concatenate([landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)])


def box_centre(box: Points) -> Points:
    """[2]: middle of a box."""
    centre: Points = (box[:2] + box[2:]) / 2
    return centre


def box_side(box: Points) -> float:
    """The longer side of a box."""
    return float(max(box[2] - box[0], box[3] - box[1]))


def overlap(one: Points, other: Points) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    common = np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0.0).prod()
    union = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - common
    return float(common / union) if union > 0 else 0.0


def search_squares(height: int, width: int) -> Iterator[tuple[Points, float]]:
    """Squares (centre, side) to look for faces in, coarse to fine.

    First the whole frame, then a square that surrounds it (a face that fills the frame has no margin for a detector),
    then overlapping squares of the short side's length and, in large frames, of half of it.
    """
    yield np.array([width / 2, height / 2]), float(max(height, width))
    yield np.array([width / 2, height / 2]), 1.5 * max(height, width)
    short = min(height, width)
    sides = []
    if short >= SMALLEST_TILE and max(height, width) > 1.2 * short:
        sides.append(short)
    if short >= LARGE_FRAME:
        sides.append(short // 2)
    for side in sides:
        for y in _centres(height, side):
            for x in _centres(width, side):
                yield np.array([x, y]), float(side)


def _centres(length: int, side: int) -> Points:
    """Middles of windows ``side`` long that cover ``length`` and overlap by half or more."""
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return np.linspace(side / 2, length - side / 2, count)
