"""A clip of any length in windows of 8k + 1 frames, and the words that are said in each.

A clip that fits is one window. A longer one has several of equal length that share frames; each but the first begins with
the picture that the one before it made there, and over the shared frames one fades into the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """Frames ``start`` to ``stop`` of the clip, in a window of ``length`` = 8k + 1 >= stop - start frames.

    What is missing at the clip's end is filled by holding the last frame, and cut off again.
    """

    start: int
    stop: int
    length: int

    @property
    def frames(self) -> int:
        """How many frames of the clip it has."""
        return self.stop - self.start


@dataclass(frozen=True)
class SpokenText:
    """A text said within frames ``first`` to ``stop``."""

    text: str
    first: int
    stop: int


def windows_of(frames: int, longest: int, overlap: int) -> list[Window]:
    """Windows over ``frames`` frames, each at most ``longest`` (8k + 1), neighbours sharing at least ``overlap``."""
    if frames <= longest:
        return [Window(0, frames, -(-(frames - 1) // 8) * 8 + 1)]
    count = -(-(frames - overlap) // (longest - overlap))
    starts = [round(number * (frames - longest) / (count - 1)) for number in range(count)]
    return [Window(start, start + longest, longest) for start in starts]


def texts_of_windows(texts: Sequence[SpokenText], windows: Sequence[Window]) -> list[str]:
    """What is said in each window: words are spread evenly over their text's frames.

    A word belongs to the window in whose part it falls when shared frames are halved. Nothing is said twice or left out.
    """
    edges = [(one.stop + other.start) / 2 for one, other in zip(windows[:-1], windows[1:], strict=True)]
    said: list[list[str]] = [[] for _ in windows]
    for text in texts:
        words = text.text.split()
        for number, word in enumerate(words):
            moment = text.first + (number + 0.5) / len(words) * (text.stop - text.first)
            said[int(np.searchsorted(edges, moment, side="right"))].append(word)
    return [" ".join(words) for words in said]


def held(values: NDArray[np.generic], length: int) -> NDArray[np.generic]:
    """``values`` ``[n, ...]`` with the last repeated up to ``length``."""
    return np.concatenate([values, np.repeat(values[-1:], length - len(values), axis=0)])


def joined(pieces: Sequence[NDArray[np.generic]], starts: Sequence[int], total: int) -> NDArray[np.float32]:
    """Pieces ``[n, ...]`` at ``starts`` as one ``[total, ...]``: where two share places, one fades into the other.

    Weights of the two sum to 1 everywhere, so what they agree on stays as it is.
    """
    whole = np.zeros((total, *pieces[0].shape[1:]), np.float32)
    for number, (piece, start) in enumerate(zip(pieces, starts, strict=True)):
        weight = np.ones(len(piece), np.float32)
        if number:
            shared = starts[number - 1] + len(pieces[number - 1]) - start
            weight[:shared] = _rising(shared)
        if number + 1 < len(pieces):
            shared = start + len(piece) - starts[number + 1]
            weight[len(piece) - shared :] *= 1 - _rising(shared)
        kept = min(len(piece), total - start)
        whole[start : start + kept] += (
            piece[:kept].astype(np.float32) * weight[:kept].reshape(-1, *(1,) * (piece.ndim - 1))
        )
    return whole


def _rising(count: int) -> NDArray[np.float32]:
    return ((np.arange(count) + 0.5) / count).astype(np.float32) if count > 0 else np.zeros(0, np.float32)
