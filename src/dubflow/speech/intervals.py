"""Labelled stretches of time: phones, words, silences.

One value object for all of them, and the few operations that every user of an alignment needs. Silence carries the
empty label, as in Praat TextGrids.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.errors import BadInput

SILENCE = ""


class Interval(Strict):
    """What happens from ``start`` to ``end`` (seconds, ``0 <= start <= end``); the empty label is silence."""

    start: float = Field(ge=0, allow_inf_nan=False, description="Seconds from the start of the audio.")
    end: float = Field(ge=0, allow_inf_nan=False, description="Seconds from the start of the audio.")
    label: str = Field(description="Phone, word, or the empty string for silence.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}")
        return self

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start

    @property
    def silent(self) -> bool:
        """Whether nothing is spoken."""
        return self.label == SILENCE


def shifted(intervals: Iterable[Interval], seconds: float) -> list[Interval]:
    """Every interval moved by ``seconds``; what would begin before 0 is a validation error."""
    return [Interval(start=i.start + seconds, end=i.end + seconds, label=i.label) for i in intervals]


def scaled(intervals: Iterable[Interval], factor: float) -> list[Interval]:
    """Every time multiplied by ``factor`` (> 0), for audio that was stretched."""
    return [Interval(start=i.start * factor, end=i.end * factor, label=i.label) for i in intervals]


def filled(intervals: Sequence[Interval], total: float, *, tolerance: float = 1e-6) -> list[Interval]:
    """A contiguous cover of ``[0, total]``: gaps become silence, gaps within ``tolerance`` are closed.

    Raises:
        BadInput: ``speech.intervals_overlap`` when two intervals overlap, or one ends after ``total``, by more than
            ``tolerance`` seconds.
    """
    cover: list[Interval] = []
    now = 0.0
    for interval in intervals:
        if interval.start < now - tolerance or interval.end > total + tolerance:
            raise BadInput(
                "speech.intervals_overlap",
                f"The interval {interval.label!r} ({interval.start:.4f} to {interval.end:.4f} s) overlaps its "
                f"neighbour or leaves the audio of {total:.4f} s.",
                "Check the alignment that it came from.",
                start=interval.start,
                end=interval.end,
                total=total,
            )
        start = now
        if interval.start > now + tolerance:
            cover.append(Interval(start=now, end=interval.start, label=SILENCE))
            start = interval.start
        end = max(start, min(interval.end, total))
        cover.append(Interval(start=start, end=end, label=interval.label))
        now = end
    if now < total - tolerance:
        cover.append(Interval(start=now, end=total, label=SILENCE))
    elif cover:
        cover[-1] = Interval(start=cover[-1].start, end=total, label=cover[-1].label)
    return cover


def is_contiguous(intervals: Sequence[Interval], total: float, *, tolerance: float = 1e-9) -> bool:
    """Whether the intervals cover ``[0, total]`` without gap or overlap."""
    if not intervals:
        return total <= tolerance
    ends = [0.0, *(i.end for i in intervals)]
    starts = [*(i.start for i in intervals), total]
    return all(math.isclose(a, b, rel_tol=0.0, abs_tol=tolerance) for a, b in zip(ends, starts, strict=True))


def boundaries(intervals: Sequence[Interval]) -> NDArray[np.float64]:
    """The ``n + 1`` boundaries (seconds) of ``n`` contiguous intervals, ready for ``durations.spans_to_durations``.

    Raises:
        BadInput: ``speech.not_contiguous``.
    """
    if not intervals or not is_contiguous(intervals, intervals[-1].end):
        raise BadInput(
            "speech.not_contiguous",
            "The intervals do not cover the audio from 0 without gaps.",
            "Fill the gaps first: dubflow.speech.intervals.filled.",
        )
    return np.array([0.0, *(i.end for i in intervals)])


def index_at(intervals: Sequence[Interval], times: Iterable[float]) -> NDArray[np.int64]:
    """Index of the interval that covers each time (seconds); -1 where none does. Starts are inside, ends are not."""
    wanted = np.asarray(list(times), dtype=np.float64)
    if not intervals:
        return np.full(wanted.shape, -1, dtype=np.int64)
    starts = np.array([i.start for i in intervals])
    ends = np.array([i.end for i in intervals])
    index = np.searchsorted(starts, wanted, side="right") - 1
    inside = (index >= 0) & (wanted < ends[np.maximum(index, 0)])
    return np.where(inside, index, -1).astype(np.int64)
