"""A clip of any length in windows of 8k + 1 frames, and the words that are said in each.

A clip that fits is one window. A longer one has several of equal length that share frames; each but the first begins
with the picture that the one before it made there, and over the shared frames one fades into the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Number = TypeVar("_Number", np.uint8, np.float32)


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
    """Windows over ``frames`` frames, each at most ``longest`` (8k + 1), neighbours sharing at least ``overlap``.

    As few as there can be, and these as short as they can be: a window says the words of its own part alone, and in one
    that is nearly the whole clip these would be drawn out over all of it.
    """
    if frames <= longest:
        return [Window(0, frames, _whole(frames))]
    count = -(-(frames - overlap) // (longest - overlap))
    length = _whole(-(-(frames + (count - 1) * overlap) // count))
    starts = [round(number * (frames - length) / (count - 1)) for number in range(count)]
    return [Window(start, start + length, length) for start in starts]


def _whole(frames: int) -> int:
    """The next 8k + 1."""
    return -(-(frames - 1) // 8) * 8 + 1


def texts_of_windows(texts: Sequence[SpokenText], windows: Sequence[Window]) -> list[str]:
    """What is said in each window: words are spread evenly over their text's frames.

    A word belongs to the window in whose part it falls when shared frames are halved: none is said twice or left out.
    """
    edges = [(one.stop + other.start) / 2 for one, other in pairwise(windows)]
    said: list[list[str]] = [[] for _ in windows]
    for text in texts:
        words = text.text.split()
        for number, word in enumerate(words):
            moment = text.first + (number + 0.5) / len(words) * (text.stop - text.first)
            said[int(np.searchsorted(edges, moment, side="right"))].append(word)
    return [" ".join(words) for words in said]


def held(values: NDArray[_Number], length: int) -> NDArray[_Number]:
    """``values`` ``[n, ...]`` with the last repeated up to ``length``."""
    return np.concatenate([values, np.repeat(values[-1:], max(0, length - len(values)), axis=0)])


def appended(whole: NDArray[_Number], filled: int, piece: NDArray[_Number], start: int) -> int:
    """Put ``piece`` ``[n, ...]`` at ``start`` into ``whole``, which is filled up to ``filled``; how far it is then.

    Where both have something, one fades into the other; the weights sum to 1, so what they agree on stays as it is.
    """
    stop = min(len(whole), start + len(piece))
    shared = max(0, min(filled, stop) - start)
    if shared:
        weight = ((np.arange(shared) + 0.5) / shared).reshape(-1, *(1,) * (piece.ndim - 1))
        mixed = whole[start : start + shared] * (1 - weight) + piece[:shared] * weight
        whole[start : start + shared] = np.rint(mixed) if whole.dtype.kind == "u" else mixed
    whole[start + shared : stop] = piece[shared : stop - start]
    return max(filled, stop)
