"""A drawn head in any pose over any background."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from dubflow.talkers.look import Look
from dubflow.talkers.pose import Light, Pose

Image = npt.NDArray[np.uint8]
Occluder = Literal["none", "mask", "microphone", "cup", "hand"]


class HeadPainter:
    """Draws one person at one size in one light."""

    def __init__(
        self, look: Look, size: tuple[int, int] | int, light: Light | None = None, occluder: Occluder = "none"
    ) -> None:
        self.look = look
        self.size = (size, size) if isinstance(size, int) else size
        self.light = light or Light()
        self.occluder = occluder

    def paint(self, pose: Pose, background: Image) -> Image:
        """The head in ``pose`` over ``background`` (uint8 ``[H, W, 3]``): a new uint8 ``[H, W, 3]``."""
        frame = np.array(background)
        height, width = self.size
        unit = 0.34 * height * pose.scale
        centre = np.array([width * (0.5 + pose.dx), height * (0.48 + pose.dy)])
        skin = tuple(int(255 * channel) for channel in self.look.skin)
        cv2.ellipse(frame, (*map(int, centre),), (int(0.74 * unit), int(unit)), 0, 0, 360, skin, -1, cv2.LINE_AA)
        mouth = (*map(int, centre + (0, 0.52 * unit)),)
        gap = int(pose.opening * 0.45 * unit)
        cv2.ellipse(frame, mouth, (int(0.3 * unit), gap + 1), 0, 0, 360, (90, 20, 20), -1, cv2.LINE_AA)
        return frame
