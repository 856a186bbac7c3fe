"""Square pictures of a face and of its lips, steady over time.

Where the face was not found, its position is taken on a straight line between the frames before and after, so a crop
has as many frames as its clip; ``track.found`` says which of them show what was really seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dubflow.errors import BadInput
from dubflow.faces.frames import Picture, grey_frame, rgb_frame
from dubflow.faces.geometry import Affine, apply, similarity, square_map, warp
from dubflow.faces.indices import MESH_TO_68, STABLE
from dubflow.faces.smoothing import CROP_WINDOW, fill_gaps, smooth
from dubflow.faces.tracks import FaceTrack, Floats

Frames = npt.NDArray[Any] | Sequence[npt.NDArray[Any]]

LIP_CROP = 96
FACE_CROP = 128

# Side of a face crop / longer side of the box of the landmarks, which end at the hairline and the chin.
FACE_MARGIN = 1.4

# Where the stable points (base of the nose; eye corners from left to right) lie on a mean face, in units of the
# distance between the outer eye corners, from the middle between these. Measured by us on eleven clips of eight
# speakers (GRID and others) and made symmetric.
MEAN_FACE = np.array([[0.0, 0.555], [-0.5, 0.0], [-0.194, 0.022], [0.194, 0.022], [0.5, 0.0]])

# Distance between the outer eye corners in a 96-pixel lip crop. The public pipelines take theirs from a stored mean
# face of 256 pixels, which is not ours to ship; its mouths span about half of the crop, and so do ours at 84 pixels (a
# mouth is .51 to .60 of the eye distance).
MEAN_FACE_EYES_PX = 84.0


def crop_face(frames: Frames, track: FaceTrack, size: int = FACE_CROP, window: int = CROP_WINDOW) -> Picture:
    """The face in a square around the box of its landmarks, not turned upright: how a head is held belongs to it.

    Args:
        frames: uint8 [F, H, W, 3] RGB (or grey), as many as the track has.
        track: whose face.
        size: side of the crops in pixels.
        window: frames over which position and size of the square are averaged, without lag.

    Returns:
        uint8 [F, size, size, 3].

    Raises:
        BadInput: ``faces.no_face`` when the track never found its face, ``faces.frames_differ`` when the frames are not
            those of the track.
    """
    _check(frames, track)
    boxes = smooth(fill_gaps(track.boxes), window)
    crops = np.empty((len(track), size, size, 3), np.uint8)
    for index, box in enumerate(boxes):
        side = FACE_MARGIN * float(max(box[2] - box[0], box[3] - box[1]))
        affine = square_map((box[:2] + box[2:]) / 2, side, size)
        crops[index] = warp(rgb_frame(frames[index]), affine, size)
    return crops


def crop_lips(frames: Frames, track: FaceTrack, size: int = LIP_CROP, window: int = CROP_WINDOW) -> Picture:
    """The mouth in grey, upright and at one scale, as lip-reading networks are fed.

    As in the public pipelines, a similarity transform brings the points that speech hardly moves (base of the nose,
    eye corners) onto a mean face, and a square around the middle of the lips is cut out. Unlike them, transform and
    middle come from a *centred* average over ``window`` frames (theirs runs ahead), and the middle is averaged as
    well, so that the crop does not follow the lips it is to show.

    Args, raises: as ``crop_face``.

    Returns:
        uint8 [F, size, size].
    """
    _check(frames, track)
    affines = lip_maps(track, size, window)
    return np.stack([warp(grey_frame(frames[index]), affine, size) for index, affine in enumerate(affines)])


def lip_maps(track: FaceTrack, size: int = LIP_CROP, window: int = CROP_WINDOW) -> list[Affine]:
    """The map from each frame to its lip crop; its inverse pastes lips back."""
    points: Floats = smooth(fill_gaps(track.landmarks[:, :, :2]), window)
    target = MEAN_FACE * MEAN_FACE_EYES_PX * size / LIP_CROP
    affines = []
    for stable, lips in zip(points[:, STABLE], points[:, MESH_TO_68[48:]], strict=True):
        affine = similarity(stable.astype(np.float64), target)
        affine[:, 2] += size / 2 - apply(affine, lips.mean(axis=0))
        affines.append(affine)
    return affines


def _check(frames: Frames, track: FaceTrack) -> None:
    if len(frames) != len(track):
        raise BadInput(
            "faces.frames_differ",
            f"The track has {len(track)} frames, the clip {len(frames)}.",
            "Crop the frames that the landmarks were found in.",
        )
    if not track.found.any():
        raise BadInput(
            "faces.no_face", "The track never found its face, so there is nothing to crop.", "Choose another track."
        )
