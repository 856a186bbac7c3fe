"""Somebody follows a batch at work: hears of every step of the flow, and may drop items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol


class Follow(Protocol):
    """Who follows; both are called between steps and must answer at once."""

    def stopped(self, item: int) -> bool:
        """Whether nobody wants this item any more; once True, for ever True."""

    def step(self, items: Sequence[int], share: float) -> None:
        """Of these items' flow ``share`` is done, 0 to 1."""


class Dropped(Exception):
    """Ends the flow of a batch of which every item was dropped."""


Between = Callable[[int], None]
"""Called with the number of steps done so far, before each step and after the last; ends the flow by raising."""


def between_steps(follow: Follow, items: Sequence[int], steps: int) -> Between:
    """What a sampler calls between the ``steps`` of a batch of ``items``.

    Raises (when called):
        Dropped: when every item was dropped. Rows of a batch are computed together, so one alone costs little more
            until then.
    """

    def between(done: int) -> None:
        if all(follow.stopped(item) for item in items):
            raise Dropped
        follow.step(items, done / steps)

    return between
