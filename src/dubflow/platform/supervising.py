"""Processes that belong together: started in order, started again when they die, ended in order, never left behind.

Whoever supervises may be killed itself: the system then ends its processes at once (``PR_SET_PDEATHSIG``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.errors import DubflowError
from dubflow.parallel import end_with_parent

FILE = "processes.json"
FIRST_PAUSE_S, MOST_PAUSE_S = 0.5, 30.0
CALM_S = 60.0
"""A process that has run for so long has not died at its start; the next pause is short again."""
LARGEST_LOG = 16 * 2**20


class Service(Protocol):
    """Something that runs as a process."""

    @property
    def name(self) -> str:
        """In logs and in the status."""

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""

    @property
    def log(self) -> Path:
        """Where it writes."""

    def start(self) -> None:
        """Start it.

        Raises:
            DubflowError: it could not be started.
        """

    def ended(self) -> str | None:
        """How it ended, in a few words; None while it runs."""

    def stop(self, patience_s: float) -> None:
        """Ask it to end, and end it where it has not within ``patience_s`` seconds."""


class Program:
    """A command whose output goes into a file."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None):
        self.name, self.log = name, Path(log)
        self._command, self._environment = tuple(command), dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """See :class:`Service`."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """See :class:`Service`."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # Called by the thread that supervises: to the system the parent is the thread.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment},
                start_new_session=True,  # Ctrl-C is for whoever supervises, who then ends these in order
                preexec_fn=_end_with_us,
            )

    def ended(self) -> str | None:
        """See :class:`Service`."""
        if self._process is None:
            return "not started"
        code = self._process.poll()
        if code is None:
            return None
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def stop(self, patience_s: float) -> None:
        """See :class:`Service`."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _end_group(process.pid)


def _end_with_us() -> None:
    end_with_parent(signal.SIGKILL)


def _end_group(leader: int) -> None:
    """What a process that is gone has left in its session."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


class ProcessFacts(Strict):
    """What the status says of a process."""

    name: str
    pid: int | None = None
    state: Literal["running", "waiting", "stopped"] = Field(description="waiting: it died and is started again soon.")
    restarts: int = Field(0, ge=0)
    ended: str = Field("", description="How it ended the last time.")
    log: Path


@dataclass
class _Watched:
    service: Service
    patience_s: float
    restarts: int = 0
    pause_s: float = FIRST_PAUSE_S
    started: float = 0.0
    again: float | None = None
    ended: str = ""

    def facts(self) -> ProcessFacts:
        pid = self.service.pid
        return ProcessFacts(
            name=self.service.name,
            pid=pid,
            state="running" if pid is not None else "waiting" if self.again is not None else "stopped",
            restarts=self.restarts,
            ended=self.ended,
            log=self.service.log,
        )


@dataclass
class Supervisor:
    """Keeps services running; :meth:`look` is to be called a few times a second.

    Attributes:
        directory: where ``processes.json`` is written whenever something has changed.
        say: is told what happens. clock: seconds.
    """

    directory: Path
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _watched: list[_Watched] = field(default_factory=list)
    _written: tuple[ProcessFacts, ...] | None = None

    def add(self, service: Service, patience_s: float) -> None:
        """Start a service, and keep it running; ``patience_s`` is for its end.

        Raises:
            DubflowError: it could not be started.
        """
        watched = _Watched(service, patience_s, started=self.clock())
        self._watched.append(watched)
        service.start()
        self._write()

    def look(self) -> None:
        """Start again what has died, each after a pause that grows while it keeps dying."""
        for one in self._watched:
            if one.again is not None:
                if self.clock() >= one.again:
                    self._start_again(one)
                continue
            how = one.service.ended()
            if how is None:
                continue
            one.ended = how
            calm = self.clock() - one.started >= CALM_S
            one.pause_s = FIRST_PAUSE_S if calm else one.pause_s
            self._wait(one, how)
        self._write()
        for one in self._watched:
            _shorten(one.service.log)

    def stop(self) -> None:
        """End all, in the reverse of the order in which they were started."""
        while self._watched:
            one = self._watched.pop()
            self.say(f"{one.service.name} is ended")
            one.service.stop(one.patience_s)
        self._write()

    def _start_again(self, one: _Watched) -> None:
        one.again, one.started = None, self.clock()
        one.restarts += 1
        try:
            one.service.start()
        except DubflowError as error:
            one.ended = error.headline
            self._wait(one, error.headline)
        else:
            self.say(f"{one.service.name} was started again")

    def _wait(self, one: _Watched, how: str) -> None:
        self.say(f"{one.service.name} has ended ({how}); it is started again in {one.pause_s:g} s")
        one.again = self.clock() + one.pause_s
        one.pause_s = min(MOST_PAUSE_S, 2 * one.pause_s)

    def _write(self) -> None:
        facts = tuple(one.facts() for one in self._watched)
        if facts != self._written:
            self._written = facts
            content = {"processes": [one.model_dump(mode="json") for one in facts]}
            write_json(self.directory / FILE, content)


def _shorten(log: Path) -> None:
    """Keep a log that has grown large under ``.1`` and begin anew; who writes there appends, and goes on."""
    try:
        if log.stat().st_size <= LARGEST_LOG:
            return
        with log.open("r+b") as file:
            log.with_name(f"{log.name}.1").write_bytes(file.read())
            file.truncate(0)
    except OSError:
        return
