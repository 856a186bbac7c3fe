"""How a head is turned, estimated from the depth the mesh gives its points.

Good enough to say "nearly profile" or "nodding", not a measurement: depth comes from one picture, and a neutral face
that looks into the camera reads a few degrees off in pitch.
"""

from __future__ import annotations

import numpy as np

from dubflow.faces.indices import CHIN, FOREHEAD, OUTER_EYE_CORNERS
from dubflow.faces.tracks import Floats


def head_pose(landmarks: Floats) -> Floats:
    """Yaw, pitch and roll in radians.

    Args:
        landmarks: float32 [F, 478, 3] pixels, NaN where absent.

    Returns:
        float32 [F, 3], NaN where absent. Yaw is positive when the face is turned to the right of the picture, pitch
        when the nose is lifted, roll when the head is tilted clockwise on the screen.
    """
    left, right = (landmarks[:, index].astype(np.float64) for index in OUTER_EYE_CORNERS)
    across = right - left
    down = landmarks[:, CHIN].astype(np.float64) - landmarks[:, FOREHEAD]
    yaw = np.arctan2(across[:, 2], np.linalg.norm(across[:, :2], axis=1))
    pitch = -np.arctan2(down[:, 2], np.linalg.norm(down[:, :2], axis=1))
    roll = np.arctan2(across[:, 1], across[:, 0])
    angles: Floats = np.stack([yaw, pitch, roll], axis=1).astype(np.float32)
    return angles
