"""Freed memory is used again."""

from __future__ import annotations

import resource

import pytest
import torch

from dubflow.training.memory import keep_freed_memory

SIZES = (1_900_001, 60_000, 700_003, 1_300_000, 250_000, 1_100_001)
PAGES = sum(4 * size // resource.getpagesize() for size in SIZES)


def like_a_step() -> None:
    """Large blocks that come and go in another order."""
    first = [torch.ones(size) for size in SIZES[:3]]
    del first[::2]
    rest = [torch.ones(size) for size in SIZES[3:]]
    del first, rest


def test_a_step_that_is_repeated_asks_the_system_for_no_more_memory() -> None:
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc")
    for _ in range(10):
        like_a_step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        like_a_step()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < PAGES / 2
