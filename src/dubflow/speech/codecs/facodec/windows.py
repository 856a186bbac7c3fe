"""Cutting a stream into overlapping windows on a fixed grid.

The grid does not depend on how the stream arrives, so a stream and the whole array give the very same windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """A window keeps ``chunk`` frames of ``hop`` values and sees ``before`` and ``after`` more where there are any."""

    hop: int
    chunk: int
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Window:
    """``values [..., frames * hop]``, of which the frames ``skip .. skip + keep`` are this window's own."""

    values: NDArray[Any]
    skip: int
    keep: int


def windows(blocks: Iterable[NDArray[Any]], grid: Grid) -> Iterator[Window]:
    """Windows over the last axis of ``blocks`` laid end to end; the last frame is filled up with zeros.

    Holds one window and one block at a time. At the ends of the stream a window has no foreign frames, so a network
    meets its own padding there and nowhere else.
    """
    held: list[NDArray[Any]] = []
    held_from, done, size = 0, 0, 0  # first held frame, frames handed out, values held
    for block in blocks:
        held.append(block)
        size += block.shape[-1]
        if held_from + size // grid.hop < done + grid.chunk + grid.after:
            continue
        values = np.concatenate(held, axis=-1) if len(held) > 1 else block
        while held_from + values.shape[-1] // grid.hop >= done + grid.chunk + grid.after:
            yield _window(values, held_from, done, done + grid.chunk, done + grid.chunk + grid.after, grid)
            done += grid.chunk
            first = max(held_from, done - grid.before)
            values, held_from = values[..., (first - held_from) * grid.hop :], first
        held, size = [values], values.shape[-1]
    if not size:
        return
    values = _filled(np.concatenate(held, axis=-1), grid.hop)
    total = held_from + values.shape[-1] // grid.hop
    while done < total:
        last = min(done + grid.chunk, total)
        yield _window(values, held_from, done, last, min(last + grid.after, total), grid)
        done = last


def _window(values: NDArray[Any], held_from: int, first: int, last: int, stop: int, grid: Grid) -> Window:
    start = max(0, first - grid.before)
    seen = values[..., (start - held_from) * grid.hop : (stop - held_from) * grid.hop]
    return Window(seen, first - start, last - first)


def _filled(values: NDArray[Any], hop: int) -> NDArray[Any]:
    missing = -values.shape[-1] % hop
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
