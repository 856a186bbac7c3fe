"""What dies is started again after growing pauses, what is ended is gone, and nobody outlives a killed supervisor."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubflow.errors import OurFault
from dubflow.platform.supervising import FILE, LARGEST_LOG, Program, Supervisor

SLEEP = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"]
DEAF = [
    sys.executable, "-S", "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]  # fmt: skip
ENDS = [sys.executable, "-S", "-c", "raise SystemExit(3)"]


class Flaky:
    """A service that can be told to die."""

    name = "flaky"

    def __init__(self, log: Path) -> None:
        self.log, self.pid, self.starts, self.cannot = log, None, 0, False

    def start(self) -> None:
        self.starts += 1
        if self.cannot:
            raise OurFault("a.b", "It cannot be started.")
        self.pid = 1

    def ended(self) -> str | None:
        return None if self.pid else "it died"

    def stop(self, patience_s: float) -> None:
        self.pid = None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def facts(folder: Path) -> list[dict[str, object]]:
    return list(json.loads((folder / FILE).read_text())["processes"])


def test_pauses_grow_while_it_keeps_dying_and_shrink_once_it_was_calm(tmp_path: Path) -> None:
    clock, service = Clock(), Flaky(tmp_path / "log")
    supervisor = Supervisor(tmp_path, lambda _: None, clock)
    supervisor.add(service, 1)
    starts = []
    for step in range(1200):
        clock.now = step / 10
        before = service.starts
        service.pid = None
        supervisor.look()
        if service.starts > before:
            starts.append(clock.now)
    pauses = [after - before for before, after in itertools.pairwise(starts)]
    assert pauses[0] < 1.5
    assert all(after >= before - 0.11 for before, after in itertools.pairwise(pauses)), pauses
    assert pauses[-1] == pytest.approx(30, abs=0.3)
    service.pid = 1
    supervisor.look()
    clock.now += 100
    supervisor.look()  # it may wait still
    clock.now += 100
    service.pid = None
    supervisor.look()
    clock.now += 0.6
    before = service.starts
    supervisor.look()
    assert service.starts == before + 1, "after a calm time the pause is short again"


def test_one_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    clock, service = Clock(), Flaky(tmp_path / "log")
    supervisor = Supervisor(tmp_path, lambda _: None, clock)
    supervisor.add(service, 1)
    service.pid, service.cannot = None, True
    for _ in range(30):
        clock.now += 1
        supervisor.look()
    assert service.starts > 3
    assert facts(tmp_path)[0]["state"] == "waiting"
    assert facts(tmp_path)[0]["ended"] == "It cannot be started."
    service.cannot = False
    clock.now += 30
    supervisor.look()
    assert facts(tmp_path)[0]["state"] == "running"


def test_real_programs_are_started_again_and_ended(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, lambda _: None)
    programs = [Program(name, words, tmp_path / f"{name}.log") for name, words in (("sleep", SLEEP), ("deaf", DEAF))]
    for one in programs:
        supervisor.add(one, 0.3)
        _until(lambda one=one: one.log.read_text() == "up\n")
    first = programs[0].pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    _until(lambda: programs[0].ended() is not None)
    supervisor.look()
    assert facts(tmp_path)[0]["ended"] == "signal SIGKILL"
    time.sleep(0.6)
    supervisor.look()
    assert programs[0].pid not in (None, first)
    pids = [one.pid for one in programs]
    supervisor.stop()
    assert facts(tmp_path) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "also the one that does not listen"


def test_how_a_program_ended_is_said(tmp_path: Path) -> None:
    program = Program("ends", ENDS, tmp_path / "log")
    assert program.ended() == "not started"
    program.start()
    _until(lambda: program.ended() is not None)
    assert program.ended() == "exit code 3"
    assert program.pid is None


def test_a_log_that_grew_large_begins_anew_and_is_still_written_to(tmp_path: Path) -> None:
    program = Program("sleep", SLEEP, tmp_path / "log")
    (tmp_path / "log").write_bytes(b"x" * (LARGEST_LOG + 1))
    supervisor = Supervisor(tmp_path, lambda _: None)
    supervisor.add(program, 0.3)
    try:
        _until(lambda: program.log.stat().st_size > LARGEST_LOG + 2)
        supervisor.look()
        assert program.log.stat().st_size == 0
        assert (tmp_path / "log.1").stat().st_size == LARGEST_LOG + 4
    finally:
        supervisor.stop()


KILLED = """
import sys, time
from pathlib import Path
from dubflow.platform.supervising import Program, Supervisor
folder = Path(sys.argv[1])
supervisor = Supervisor(folder, lambda text: None)
supervisor.add(Program("deaf", {words!r}, folder / "log"), 1)
time.sleep(600)
"""


def test_nobody_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED.format(words=DEAF), str(tmp_path)]
    with subprocess.Popen(words) as supervisor:
        _until(lambda: (tmp_path / "log").is_file() and (tmp_path / "log").read_text() == "up\n")
        _until((tmp_path / FILE).is_file)
        pid = facts(tmp_path)[0]["pid"]
        supervisor.kill()
    _until(lambda: not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text())


def _until(what: object, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
