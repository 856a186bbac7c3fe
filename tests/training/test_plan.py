"""The plan of batches: every clip once an epoch, and a batch hangs on its number alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.training.plan import BatchPlan, PlannedBatches, spread

lengths_of = st.lists(st.integers(1, 400), min_size=1, max_size=90)


def epochs(plan: BatchPlan, count: int) -> list[list[tuple[int, ...]]]:
    """The first batches of a plan, cut into epochs by counting clips."""
    found: list[list[tuple[int, ...]]] = []
    number = 0
    for _ in range(count):
        seen, batches = 0, []
        while seen < len(plan.lengths):
            batches.append(plan.batch(number))
            seen += len(batches[-1])
            number += 1
        found.append(batches)
    return found


@settings(deadline=None, max_examples=40)
@given(lengths=lengths_of, items=st.integers(1, 7), tokens=st.none() | st.integers(1, 900), seed=st.integers(0, 5))
def test_every_epoch_holds_every_clip_once_within_the_limits(
    lengths: list[int], items: int, tokens: int | None, seed: int
) -> None:
    for batches in epochs(BatchPlan(lengths, items, tokens, seed), 3):
        assert sorted(clip for batch in batches for clip in batch) == list(range(len(lengths)))
        for batch in batches:
            assert len(batch) <= items
            padded = len(batch) * max(lengths[clip] for clip in batch)
            assert tokens is None or padded <= tokens or len(batch) == 1


@settings(deadline=None, max_examples=40)
@given(lengths=lengths_of, asked=st.lists(st.integers(0, 200), min_size=1, max_size=12))
def test_a_batch_does_not_hang_on_what_was_asked_before(lengths: list[int], asked: list[int]) -> None:
    plan = BatchPlan(lengths, 4, seed=3)
    for number in asked:
        assert plan.batch(number) == BatchPlan(lengths, 4, seed=3).batch(number)


@settings(deadline=None, max_examples=40)
@given(clips=st.lists(st.tuples(st.integers(1, 5), st.sampled_from("abc")), min_size=1, max_size=90),
       items=st.integers(1, 7))  # fmt: skip
def test_only_clips_of_one_kind_share_a_batch(clips: list[tuple[int, str]], items: int) -> None:
    plan = BatchPlan([length for length, _ in clips], items, seed=1, kinds=clips)
    for batches in epochs(plan, 2):
        assert sorted(clip for batch in batches for clip in batch) == list(range(len(clips)))
        assert all(len({clips[clip] for clip in batch}) == 1 for batch in batches)
        # All batches of a kind are full but one.
        assert len(batches) == sum(-(-clips.count(kind) // items) for kind in set(clips))


def test_one_kind_is_as_none() -> None:
    lengths = [5, 9, 7, 30, 2, 8, 8, 1, 4]
    alike = BatchPlan(lengths, 4, seed=2, kinds=["a"] * 9)
    assert [alike.batch(n) for n in range(12)] == [BatchPlan(lengths, 4, seed=2).batch(n) for n in range(12)]


def test_epochs_and_seeds_differ_in_their_order() -> None:
    first, second = epochs(BatchPlan(range(1, 60), 4, seed=0), 2)
    assert first != second
    assert epochs(BatchPlan(range(1, 60), 4, seed=1), 1) != [first]


@settings(deadline=None, max_examples=30)
@given(world=st.integers(1, 5), total=st.integers(1, 20), share=st.floats(0, 1))
def test_processes_divide_the_batches_and_going_on_is_skipping(world: int, total: int, share: float) -> None:
    plan = BatchPlan([5, 9, 7, 30, 2, 8, 8], 2)
    start = int(share * total)
    shares = [list(PlannedBatches(plan, total, rank=rank, world=world)) for rank in range(world)]
    assert sorted(each for own in shares for each in own) == [
        (number, plan.batch(number)) for number in range(total * world)
    ]
    for rank, own in enumerate(shares):
        resumed = PlannedBatches(plan, total, start=start, rank=rank, world=world)
        assert list(resumed) == own[start:]
        assert len(resumed) == total
    # What the processes take between them in a turn is what one process would take in as many turns.
    alone = list(PlannedBatches(plan, total * world))
    assert [each for turn in zip(*shares, strict=True) for each in turn] == alone


def test_little_of_a_batch_is_padding() -> None:
    lengths = np.random.default_rng(0).integers(60, 400, 2000)
    plan = BatchPlan(lengths.tolist(), 16)
    padded = sum(len(batch) * max(lengths[list(batch)]) for batch in epochs(plan, 1)[0])
    assert padded < 1.03 * lengths.sum()


@given(st.integers(0, 40), st.integers(0, 50))
def test_items_are_taken_from_all_over_each_once(length: int, count: int) -> None:
    found = spread(range(length), count)
    assert len(found) == len(set(found)) == min(length, count)
    assert found == sorted(found)
    if len(found) > 1:
        assert (found[0], found[-1]) == (0, length - 1)
