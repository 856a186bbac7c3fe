"""Frames that tell whoever watches how far their reader is, and stop it in the middle of a long clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from dubflow.dubbing.watching import Stage, Watch, check_stopped


class WatchedFrames(Sequence[NDArray[np.uint8]]):
    """Frames ``[F, H, W, 3]`` whose reader is watched: at every frame it may be stopped, and is heard of."""

    def __init__(self, frames: NDArray[np.uint8], watch: Watch, stage: Stage) -> None:
        """
        Args:
            watch: hears the share of the frames that were taken at least once.
        """
        self._frames, self._watch, self._stage, self._most = frames, watch, stage, 0

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NDArray[np.uint8]]: ...
    def __getitem__(self, index: Any) -> Any:
        """A frame.

        Raises:
            BadInput: ``dubbing.cancelled``.
        """
        check_stopped(self._watch)
        frame = self._frames[index]
        if isinstance(index, int) and index > self._most:
            self._most = index
            self._watch.stage(self._stage, index / len(self._frames))
        return frame
