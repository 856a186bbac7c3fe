"""Faces upright in 112 pixels, as ArcFace is fed: five points onto the public template by a similarity transform.

The public detectors give eye centres, nose tip and mouth corners themselves. Here they come from MediaPipe's mesh: the
middle between an eye's corners, which gaze and blinking do not move, the tip of the nose and the corners of the mouth.
Outside the frame is black, and pixels are bilinear, as published.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.faces.crops import Frames
from dubflow.faces.frames import Picture, rgb_frame
from dubflow.faces.geometry import similarity
from dubflow.faces.indices import EYE_CORNERS, MESH_TO_68, MOUTH_CORNERS
from dubflow.faces.tracks import FaceTrack

SIDE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Left eye, right eye, nose, left and right corner of the mouth (as in the picture), counted from the first pixel's
centre."""
NOSE = int(MESH_TO_68[30])


def five_points(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """``[..., 5, 2]`` of landmarks ``[..., 478, 3]``, in the template's order and the landmarks' pixels."""
    points = landmarks[..., :2].astype(np.float64)
    eyes = points[..., EYE_CORNERS, :].reshape(*points.shape[:-2], 2, 2, 2).mean(axis=-2)
    rest = points[..., [NOSE, *MOUTH_CORNERS], :]
    return np.concatenate([eyes, rest], axis=-2)


def aligned_faces(frames: Frames, track: FaceTrack) -> Picture:
    """uint8 ``[n, 112, 112, 3]`` RGB of the n frames in which the face was found.

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
    places = np.flatnonzero(track.found)
    if not places.size:
        raise BadInput("judging.no_face", "The track never found its face, so there is nothing to crop.")
    faces = np.empty((len(places), SIDE, SIDE, 3), np.uint8)
    # The landmarks count from the corner of the first pixel, the template and OpenCV from its centre.
    for face, place, points in zip(faces, places, five_points(track.landmarks[places]) - 0.5, strict=True):
        affine = similarity(points, TEMPLATE)
        face[:] = cv2.warpAffine(rgb_frame(frames[place]), affine, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return faces
