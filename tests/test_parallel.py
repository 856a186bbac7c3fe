"""Work spread over processes comes back whole, and its errors keep their type."""

from __future__ import annotations

import os
import subprocess
import sys
import time

# The children import these by name, so they live in a module that a spawned child can find: the standard library's.
from math import factorial
from pathlib import Path

import pytest

from dubflow.errors import BadInput, OurFault
from dubflow.parallel import map_unordered


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_comes_back_once_with_its_result(workers: int) -> None:
    got = dict(map_unordered(factorial, range(12), workers=workers))
    assert got == {number: factorial(number) for number in range(12)}


def test_one_worker_keeps_the_order() -> None:
    assert [item for item, _ in map_unordered(factorial, [3, 1, 2], workers=1)] == [3, 1, 2]


def test_only_a_few_items_are_taken_ahead() -> None:
    taken = []

    def source() -> object:
        for number in range(50):
            taken.append(number)
            yield number

    results = map_unordered(factorial, source(), workers=2)
    next(results)
    assert len(taken) <= 6
    results.close()


def test_a_typed_error_of_a_child_arrives_with_its_code() -> None:
    from dubflow.corpora.manifest import read_manifest

    with pytest.raises(BadInput) as caught:
        list(map_unordered(read_manifest, [Path("nowhere")] * 2, workers=2))
    assert caught.value.code == "corpora.no_manifest"


def test_a_killed_child_is_our_fault_and_says_so() -> None:
    with pytest.raises(OurFault) as caught:
        list(map_unordered(os._exit, [9, 9], workers=2))
    assert caught.value.code == "parallel.child_died"


def test_an_abandoned_map_leaves_no_children() -> None:
    program = (
        "import time\n"
        "from dubflow.parallel import map_unordered\n"
        "if __name__ == '__main__':\n"
        "    results = map_unordered(time.sleep, [0.01] + [60] * 5, workers=2)\n"
        "    next(results); results.close()\n"
        "    import multiprocessing; print(len(multiprocessing.active_children()))\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.strip() == "0"
    assert time.monotonic() - started < 45, "it waited for the sleepers"
