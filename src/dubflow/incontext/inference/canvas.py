"""Pictures of any size into the size that the base works at, and back: bars instead of stretching.

A canvas has the settings' area, sides that are multiples of 32 and nearly the source's shape; the source is scaled to
fit and stands in the middle, black bars fill what is left. Going back cuts the bars off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

Frames = NDArray[np.uint8]

_SNAP = 32
_LEAST = 2  # latents a side; the video decoder mirrors its edges and needs two
_AT_ONCE = 16


@dataclass(frozen=True)
class Canvas:
    """Where a source of ``source_height`` x ``source_width`` lies in a canvas of ``height`` x ``width``.

    Attributes:
        inner_height, inner_width: its size there.
    """

    source_height: int
    source_width: int
    height: int
    width: int
    inner_height: int
    inner_width: int

    @classmethod
    def of(cls, source_height: int, source_width: int, height: int, width: int) -> Self:
        """The canvas of at most ``height * width`` pixels that shows the source largest."""
        most = max(_LEAST**2, height * width // _SNAP**2)
        best = (0.0, 0, _LEAST, _LEAST)
        for rows in range(_LEAST, most // _LEAST + 1):
            wanted = int(rows * source_width / source_height)
            for columns in {min(max(_LEAST, one), most // rows) for one in (wanted, wanted + 1)}:
                scale = min(rows * _SNAP / source_height, columns * _SNAP / source_width)
                # Among canvases that show it equally large the smallest.
                best = max(best, (round(scale, 9), -rows * columns, rows, columns))
        return cls.within(source_height, source_width, best[2] * _SNAP, best[3] * _SNAP)

    @classmethod
    def within(cls, source_height: int, source_width: int, height: int, width: int) -> Self:
        """The source in a canvas of exactly this size."""
        scale = min(height / source_height, width / source_width)
        inner = (max(1, min(height, round(source_height * scale))), max(1, min(width, round(source_width * scale))))
        return cls(source_height, source_width, height, width, *inner)

    def doubled(self) -> Self:
        """The same source in a canvas of twice the sides."""
        return self.within(self.source_height, self.source_width, 2 * self.height, 2 * self.width)

    @property
    def top(self) -> int:
        """Rows of bar above the picture."""
        return (self.height - self.inner_height) // 2

    @property
    def left(self) -> int:
        """Columns of bar left of the picture."""
        return (self.width - self.inner_width) // 2

    def put(self, frames: Frames) -> Frames:
        """Source frames ``[F, source_height, source_width, 3]`` on the canvas ``[F, height, width, 3]``."""
        placed = np.zeros((len(frames), self.height, self.width, 3), np.uint8)
        rows, columns = slice(self.top, self.top + self.inner_height), slice(self.left, self.left + self.inner_width)
        for span, part in _resized(frames, self.inner_height, self.inner_width):
            placed[span, rows, columns] = part
        return placed

    def back(self, frames: Frames) -> Frames:
        """Canvas frames at the source's size."""
        rows, columns = slice(self.top, self.top + self.inner_height), slice(self.left, self.left + self.inner_width)
        whole = np.empty((len(frames), self.source_height, self.source_width, 3), np.uint8)
        for span, part in _resized(frames[:, rows, columns], self.source_height, self.source_width):
            whole[span] = part
        return whole


def _resized(frames: Frames, height: int, width: int) -> Iterator[tuple[slice, Frames]]:
    """Some frames at a time, at another size: bicubic, with low-pass when it gets smaller."""
    for start in range(0, len(frames), _AT_ONCE):
        span = slice(start, min(start + _AT_ONCE, len(frames)))
        if frames.shape[1:3] == (height, width):
            yield span, frames[span]
            continue
        pixels = torch.from_numpy(np.ascontiguousarray(frames[span])).permute(0, 3, 1, 2).float()
        other = torch.nn.functional.interpolate(pixels, (height, width), mode="bicubic", antialias=True)
        yield span, other.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
