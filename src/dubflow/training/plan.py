"""Which clips make which batch: a function of the seed and the batch's number, and of nothing else.

So a run that was killed goes on with the very batch it would have had, without replaying what came before, and every
process of a distributed run knows its own share without asking.

An epoch shuffles the clips, sorts stretches of ``pool`` batches by length, cuts batches of similar length (little
padding), and shuffles the batches. Where clips are of several kinds, it does so with each kind.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from torch.utils.data import Sampler

_POOL = 32
Item = TypeVar("Item")


@dataclass
class BatchPlan:
    """An endless sequence of batches of clip numbers.

    Attributes:
        lengths: tokens of each clip.
        batch_items: clips of a batch, at most.
        batch_tokens: tokens of a batch with padding, at most (a single longer clip is a batch of its own).
        seed: of the order.
        kinds: of each clip; only clips of one kind share a batch, and the last ones of a kind form a smaller one.
    """

    lengths: Sequence[int]
    batch_items: int
    batch_tokens: int | None = None
    seed: int = 0
    kinds: Sequence[Hashable] | None = None
    _epochs: dict[int, list[tuple[int, ...]]] = field(default_factory=dict, repr=False)
    _starts: list[int] = field(default_factory=lambda: [0], repr=False)

    def batch(self, number: int) -> tuple[int, ...]:
        """Clips of batch ``number``, counted from 0 over all epochs."""
        epoch = int(np.searchsorted(self._starts, number, side="right")) - 1
        while epoch + 1 >= len(self._starts):
            self._starts.append(self._starts[epoch] + len(self._epoch(epoch)))
            if number >= self._starts[-1]:
                epoch += 1
        return self._epoch(epoch)[number - self._starts[epoch]]

    def _epoch(self, epoch: int) -> list[tuple[int, ...]]:
        if epoch not in self._epochs:
            self._epochs.clear()  # one epoch at a time is read; the last one costs a moment to make again
            self._epochs[epoch] = self._drawn(epoch)
        return self._epochs[epoch]

    def _drawn(self, epoch: int) -> list[tuple[int, ...]]:
        rng = np.random.default_rng([self.seed, epoch])
        alike: dict[Hashable, list[int]] = {}
        for clip in rng.permutation(len(self.lengths)).tolist():
            alike.setdefault(self.kinds[clip] if self.kinds else None, []).append(clip)
        batches: list[tuple[int, ...]] = []
        pool = self.batch_items * _POOL
        for order in alike.values():
            for start in range(0, len(order), pool):
                stretch = sorted(order[start : start + pool], key=lambda clip: (self.lengths[clip], clip))
                batches.extend(self._cut(stretch))
        return [batches[number] for number in rng.permutation(len(batches))]

    def _cut(self, clips: Sequence[int]) -> Iterator[tuple[int, ...]]:
        batch: list[int] = []
        for clip in clips:  # shortest first, so the clip that comes is the longest of its batch
            padded = (len(batch) + 1) * self.lengths[clip]
            full = len(batch) == self.batch_items or (self.batch_tokens is not None and padded > self.batch_tokens)
            if batch and full:
                yield tuple(batch)
                batch = []
            batch.append(clip)
        if batch:
            yield tuple(batch)


class PlannedBatches(Sampler[tuple[int, tuple[int, ...]]]):
    """The share of one process: batches ``rank, rank + world, ...`` of the plan.

    Batches keep their number of the plan, so W processes that take one batch a step do what one process does that
    takes W. The length is that of the whole run, whatever ``start``: Lightning counts from where it stopped.
    """

    def __init__(self, plan: BatchPlan, total: int, *, start: int = 0, rank: int = 0, world: int = 1) -> None:
        """``total`` batches for this process, of which ``start`` are done."""
        self.plan, self.total, self.start, self.rank, self.world = plan, total, start, rank, world

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The batch's number within the plan, and its clips."""
        for turn in range(self.start, self.total):
            number = turn * self.world + self.rank
            yield number, self.plan.batch(number)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """``count`` of ``items`` from all over them, the first and the last among them; all where there are no more."""
    if not items:
        return []
    return [items[place] for place in np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)]
