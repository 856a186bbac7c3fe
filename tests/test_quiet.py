"""What native libraries say is hidden, and only while they are told to be quiet."""

from __future__ import annotations

import os
import threading

from dubflow.quiet import native_output_hidden


def identity(stream: int) -> tuple[int, int]:
    """Which file a descriptor stands for."""
    status = os.fstat(stream)
    return status.st_dev, status.st_ino


def test_output_is_hidden_inside_and_back_outside(capfd):
    with native_output_hidden():
        os.write(1, b"hidden")
        os.write(2, b"hidden")
    os.write(1, b"shown")
    assert capfd.readouterr() == ("shown", "")


def test_blocks_that_overlap_in_threads_give_the_output_back():
    before = identity(1), identity(2)
    first_inside, second_inside, first_left = (threading.Event() for _ in range(3))

    def first() -> None:
        with native_output_hidden():
            first_inside.set()
            assert second_inside.wait(10)
        first_left.set()

    def second() -> None:
        assert first_inside.wait(10)
        with native_output_hidden():
            second_inside.set()
            assert first_left.wait(10)
            assert identity(1) != before[0]

    threads = [threading.Thread(target=body) for body in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (identity(1), identity(2)) == before
