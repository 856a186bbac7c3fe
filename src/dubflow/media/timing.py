"""Exact arithmetic of presentation times: which frame is shown when, how many samples, whether a rate is constant.

Nothing here knows files; all of it is integers and fractions, so that an hour at 30000/1001 frames a second ends on the
same tick as it would on paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# When in its interval an output frame looks at the source. Just before the middle: the middle is the fairest moment
# (the error is symmetric), and just before it neither a source of a whole multiple of the rate nor timestamps rounded
# to a millisecond sit on the edge between two frames.
SAMPLING_PHASE = Fraction(9, 20)

COMMON_RATES = tuple(
    Fraction(n, d)
    for n, d in (
        (25, 1),
        (30000, 1001),
        (24000, 1001),
        (24, 1),
        (30, 1),
        (50, 1),
        (60000, 1001),
        (60, 1),
        (15, 1),
        (12, 1),
    )
)


class FrameSampler:
    """Resamples frames in time: output frame ``k`` shows what the source shows at ``(k + 9/20) / fps``.

    The source shows a frame from its presentation time until the next frame's; time counts from the first frame. The
    output ends with the source: it has ``round(duration * fps)`` frames, the duration ending with the last frame's own.
    With ``fps=None`` every source frame is shown once.

    Args:
        time_base: seconds a tick. fps: output rate, or None.
    """

    def __init__(self, time_base: Fraction, fps: Fraction | None) -> None:
        self._frames_a_tick = None if fps is None else fps * time_base
        self._first: int | None = None
        self._emitted = 0

    def show(self, pts: int) -> int:
        """A source frame appears at tick ``pts``: how many output frames the one before it fills."""
        if self._first is None:
            self._first = pts
            return 0
        if self._frames_a_tick is None:
            return 1
        until = math.ceil((pts - self._first) * self._frames_a_tick - SAMPLING_PHASE)
        return self._advance(until)

    def finish(self, end: int) -> int:
        """The last source frame disappears at tick ``end``: how many output frames it fills."""
        if self._frames_a_tick is None or self._first is None:
            return 1
        whole = math.floor((end - self._first) * self._frames_a_tick + Fraction(1, 2))
        return self._advance(max(whole, 1))

    def _advance(self, until: int) -> int:
        count = max(0, until - self._emitted)
        self._emitted += count
        return count


def frame_map(pts: Sequence[int], end: int, time_base: Fraction, fps: Fraction | None) -> NDArray[np.int64]:
    """Index of the source frame shown at each output frame; frames come at ascending ``pts`` until ``end``."""
    sampler = FrameSampler(time_base, fps)
    _, *counts = [sampler.show(tick) for tick in pts]
    counts.append(sampler.finish(end))
    return np.repeat(np.arange(len(pts), dtype=np.int64), counts)


def resampled_count(samples: int, rate: int, new_rate: int) -> int:
    """How many samples ``samples`` at ``rate`` become at ``new_rate``: the exact quotient, rounded half up."""
    return (2 * samples * new_rate + rate) // (2 * rate)


def constant_rate(pts: Sequence[int], time_base: Fraction, claimed: Iterable[Fraction]) -> Fraction | None:
    """The exact rate on whose grid every frame lies to within one tick, or None when there is none (variable rate).

    A container with coarse ticks (a millisecond in Matroska) can only say 29.97 roughly; a rate fits when no frame,
    however late in the file, is further than a tick from where that rate puts it. Tried in this order: what the
    container claims, where that is a whole number of ticks or a common rate; the common rates; its other claims, which
    are rounded; the mean over the file.

    Args:
        pts: ascending ticks of all frames, at least two.
    """
    ticks = np.asarray(pts, np.int64) - pts[0]
    if len(ticks) < 2 or ticks[-1] <= 0:
        return None
    mean = (len(ticks) - 1) / (int(ticks[-1]) * time_base)
    claims = list(claimed)
    exact = [rate for rate in claims if rate > 0 and ((rate * time_base).numerator == 1 or rate in COMMON_RATES)]
    for rate in dict.fromkeys((*exact, *COMMON_RATES, *claims, mean)):
        if rate > 0 and _on_grid(ticks, 1 / (rate * time_base)):
            return rate
    return None


def _on_grid(ticks: NDArray[np.int64], step: Fraction) -> bool:
    count = len(ticks)
    # |tick - index * n / d| <= 1 without leaving integers; Python's own where 64 bits would not hold them.
    if max(int(ticks[-1]), count * step.numerator) * step.denominator < 2**62:
        expected = np.arange(count, dtype=np.int64) * step.numerator
        return bool((np.abs(ticks * step.denominator - expected) <= step.denominator).all())
    return all(abs(int(tick) - index * step) <= 1 for index, tick in enumerate(ticks))
