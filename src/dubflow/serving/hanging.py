"""Finds processes of models that are there and do nothing: cheaply, so that it can be asked twice a second.

Such a process is stopped (by a signal, say), or jobs wait in its version and none of the version's parts, nor what they
started, computes or waits for a disk. A process that computes for ever looks busy: it is found by a real inference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.serving.repository import FRONT, number_of
from dubflow.serving.slips import waiting_since
from dubflow.serving.stubs import Stub

_STOPPED = "T"
_BUSY = "RD"
_TICKS = 2
"""Processor time, in ticks of 10 ms, that a process takes merely by being there."""


@dataclass(frozen=True)
class Doing:
    """What a process does at a moment.

    Attributes:
        state: of ``/proc``: R runs or wants to, D waits for a disk, S sleeps, T was stopped.
        ticks: processor time that it has used.
        parent: its process id.
    """

    state: str
    ticks: int
    parent: int


def doing_of(process: int) -> Doing | None:
    """What a process does; None where it has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = text.rpartition(")")[2].split()
    return Doing(words[0], int(words[11]) + int(words[12]), int(words[1]))


def all_doing() -> dict[int, Doing]:
    """All processes of this machine that we may see."""
    numbers = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return {number: found for number in numbers if (found := doing_of(number)) is not None}


class Hanging:
    """Remembers since when processes do nothing."""

    def __init__(
        self,
        slips: Path,
        hung_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        doing: Callable[[], Mapping[int, Doing]] = all_doing,
        waiting: Callable[[Path, int], float | None] = waiting_since,
    ) -> None:
        """
        Args:
            slips: folder of the jobs' slips. hung_s: who does nothing for so long hangs. clock: seconds.
            waiting: for how many seconds the jobs of a version (of Triton's number) have not advanced, if it has any.
        """
        self._slips, self._hung_s, self._clock, self._doing, self._waiting = slips, hung_s, clock, doing, waiting
        self._stopped: dict[int, float] = {}
        self._idle: dict[int, tuple[float, int]] = {}

    def among(self, stubs: tuple[Stub, ...]) -> tuple[Stub, ...]:
        """Those that hang: that have done nothing for ``hung_s`` seconds."""
        now, doing = self._clock(), self._doing()
        stopped = [one.process for one in stubs if one.process in doing and doing[one.process].state == _STOPPED]
        self._stopped = {process: self._stopped.get(process, now) for process in stopped}
        hung = {process for process, since in self._stopped.items() if now - since >= self._hung_s}
        for version in {one.version for one in stubs}:
            own = [one for one in stubs if one.version == version]
            # Where one was stopped, the others wait for it.
            if self._idles(version, own, now, doing) and not any(one.process in self._stopped for one in own):
                hung |= {one.process for one in own}
        return tuple(one for one in stubs if one.process in hung)

    def _idles(self, version: int, own: Sequence[Stub], now: float, doing: Mapping[int, Doing]) -> bool:
        """Whether jobs of a version wait, and none of its parts has done anything for long enough."""
        waits = self._waiting(self._slips, number_of(version))
        # The front asks twenty times a second whether the client is still there: that is no work.
        family = _family((one.process for one in own if one.model != FRONT), doing)
        ticks = sum(doing[process].ticks for process in family)
        since, before = self._idle.get(version, (now, -_TICKS - 1))
        busy = abs(ticks - before) > _TICKS or any(doing[process].state in _BUSY for process in family)
        if waits is None or busy:
            since, before = now, ticks
        self._idle[version] = since, before
        return waits is not None and min(waits, now - since) >= self._hung_s


def _family(own: Iterable[int], doing: Mapping[int, Doing]) -> set[int]:
    """Processes, and all that they have started: a clip is read by a child of a child."""
    children: dict[int, list[int]] = {}
    for process, one in doing.items():
        children.setdefault(one.parent, []).append(process)
    found: set[int] = set()
    left = [process for process in own if process in doing]
    while left:
        process = left.pop()
        if process not in found:
            found.add(process)
            left += children.get(process, [])
    return found
