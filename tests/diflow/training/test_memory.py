"""Freed memory is used again."""

from __future__ import annotations

import resource

import pytest
import torch

from dubflow.diflow.training.memory import keep_freed_memory

NUMBERS = 20_000_000
PAGES = 4 * NUMBERS // resource.getpagesize()


def test_a_large_tensor_costs_its_pages_once() -> None:
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc")
    torch.ones(NUMBERS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(NUMBERS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < PAGES / 2
