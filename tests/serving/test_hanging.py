"""Who hangs is found within seconds, and nobody who works or merely has nothing to do is taken for one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubflow.serving.hanging import Doing, Hanging, all_doing, doing_of
from dubflow.serving.repository import FRONT, MODELS, PARTS, number_of
from dubflow.serving.slips import Slip, sweep_slips, waiting_since
from dubflow.serving.stubs import Stub

STUBS = tuple(Stub(number, model, 1) for number, model in enumerate(MODELS, 100))
CHILD = 900
"""What the first of them has started."""


class Place:
    """Processes that do what a test says; a second passes at each look."""

    def __init__(self) -> None:
        self.now, self.ticks = 0.0, {one.process: 0 for one in STUBS} | {CHILD: 0}
        self.jobs = True
        self.states = dict.fromkeys(self.ticks, "S")
        self.hanging = Hanging(
            Path(), 3, clock=lambda: self.now, doing=self._doing, waiting=lambda *_: 100.0 if self.jobs else None
        )

    def _doing(self) -> dict[int, Doing]:
        return {
            process: Doing(self.states[process], ticks, STUBS[0].process if process == CHILD else 1)
            for process, ticks in self.ticks.items()
        }

    def looks(self, seconds: int) -> list[str]:
        """Models that hang in the end."""
        found: tuple[Stub, ...] = ()
        for _ in range(seconds):
            found = self.hanging.among(STUBS)
            self.now += 1
        return [one.model for one in found]


def test_a_stopped_process_hangs_whether_jobs_wait_or_not() -> None:
    for jobs in (True, False):
        place = Place()
        place.jobs = jobs
        place.states[STUBS[1].process] = "T"
        assert place.looks(3) == []
        assert place.looks(1) == [PARTS[1]], "the others only wait for it"


def test_a_process_that_was_stopped_for_a_moment_does_not_hang() -> None:
    place = Place()
    place.jobs = False
    for _ in range(3):
        place.states[STUBS[1].process] = "T"
        assert place.looks(2) == []
        place.states[STUBS[1].process] = "S"
        assert place.looks(2) == []


def test_a_version_whose_parts_do_nothing_while_jobs_wait_hangs() -> None:
    place = Place()
    for _ in range(4):
        place.ticks[STUBS[MODELS.index(FRONT)].process] += 50  # asking whether the client is there is no work
        found = place.looks(1)
    assert found == list(MODELS)


@pytest.mark.parametrize("process", [*(one.process for one in STUBS if one.model in PARTS), CHILD])
@pytest.mark.parametrize("how", ["computes", "is held up by others", "waits for a disk"])
def test_a_version_of_which_anybody_works_does_not_hang(process: int, how: str) -> None:
    place = Place()
    for _ in range(10):
        place.ticks[process] += 10 if how == "computes" else 0
        place.states[process] = {"computes": "S", "is held up by others": "R", "waits for a disk": "D"}[how]
        assert place.looks(1) == []


def test_a_version_without_jobs_may_do_nothing_for_ever() -> None:
    place = Place()
    place.jobs = False
    assert place.looks(100) == []
    place.jobs = True
    assert place.looks(2) == [], "from now on it counts"


def test_jobs_wait_since_the_last_of_them_advanced(tmp_path: Path) -> None:
    assert waiting_since(tmp_path, 3) is None
    slip, other = Slip.made(tmp_path, 3), Slip.made(tmp_path, number_of(0))
    ago = time.time() - 60
    for one in (slip, other):
        os.utime(one.path, (ago, ago))
    waits = waiting_since(tmp_path, 3)
    assert waits is not None
    assert 59 < waits < 90
    slip.share = 0.5
    waits = waiting_since(tmp_path, 3)
    assert waits is not None
    assert waits < 30
    sweep_slips(tmp_path, number_of(0), until=ago + 1)
    sweep_slips(tmp_path, 3, until=ago + 1)
    assert [one.name for one in tmp_path.iterdir()] == [slip.path.name], "what is written to since stays"
    for one in (slip, other):
        one.close()


def test_a_real_process_that_is_stopped_is_seen_so() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        child.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 30
        while (found := doing_of(child.pid)) is None or found.state != "T":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert all_doing()[child.pid].parent == os.getpid()
    finally:
        child.kill()
        child.wait()
    assert doing_of(2**30) is None
