"""Long work says how far it is and how long it still takes.

On a terminal a rich bar; in a log a line now and then; always on standard error, so that ``--json`` owns standard
output. The estimate counts only work done in this run: items found finished from an earlier run cost nothing and must
not make the rest look quick.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO


class Progress(Protocol):
    """What a long task reports to."""

    def expect(self, total: int) -> None:
        """There are ``total`` items; for tasks that know it only after a look."""

    def advance(self, items: int = 1, *, cached: bool = False) -> None:
        """``items`` more are done; ``cached`` when they were found done and cost nothing."""

    def note(self, text: str) -> None:
        """A line worth keeping above the bar."""


@dataclass
class Estimate:
    """Counts and the time left, apart from how they are shown.

    Attributes:
        total: items in all; None until that is known. done: items finished or found finished. cached: those found.
    """

    total: int | None
    done: int = 0
    cached: int = 0
    started: float = field(default_factory=time.monotonic)

    def remaining_s(self, now: float | None = None) -> float | None:
        """Seconds left at this run's own pace; None until something was really done."""
        worked = self.done - self.cached
        if worked <= 0 or self.total is None:
            return None
        elapsed = (time.monotonic() if now is None else now) - self.started
        return max(0.0, elapsed / worked * (self.total - self.done))

    def sentence(self, what: str, unit: str) -> str:
        """``what: 12/40 clips (30 %), 5 found done, about 1 min 20 s left``."""
        if self.total is None:
            return f"{what}: {self.done} {unit} so far" if self.done else f"{what}: looking for {unit}"
        share = 100 * self.done / self.total if self.total else 100.0
        parts = [f"{what}: {self.done}/{self.total} {unit} ({share:.0f} %)"]
        if self.cached:
            parts.append(f"{self.cached} found done")
        left = self.remaining_s()
        if self.done < self.total and left is not None:
            parts.append(f"about {human_seconds(left)} left")
        return ", ".join(parts)


def human_seconds(seconds: float) -> str:
    """``45 s``, ``1 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class _Lines:
    """One line at the start, one every ``every_s`` seconds, one at the end."""

    def __init__(self, what: str, unit: str, total: int | None, stream: TextIO, every_s: float = 5.0) -> None:
        self.estimate = Estimate(total)
        self._what, self._unit, self._stream, self._every_s = what, unit, stream, every_s
        self._last = time.monotonic()
        self._print()

    def _print(self) -> None:
        print(self.estimate.sentence(self._what, self._unit), file=self._stream, flush=True)

    def expect(self, total: int) -> None:
        self.estimate.total = total
        self._print()

    def advance(self, items: int = 1, *, cached: bool = False) -> None:
        self.estimate.done += items
        self.estimate.cached += items if cached else 0
        now = time.monotonic()
        if self.estimate.done == self.estimate.total or now - self._last >= self._every_s:
            self._last = now
            self._print()

    def note(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class _Bar:
    """A rich bar on a terminal."""

    def __init__(self, what: str, unit: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self.estimate = Estimate(total)
        self._what, self._unit = what, unit
        self._rich = RichProgress(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
        self._task = self._rich.add_task(self.estimate.sentence(what, unit), total=total)
        self._rich.start()

    def expect(self, total: int) -> None:
        self.estimate.total = total
        self._show()

    def advance(self, items: int = 1, *, cached: bool = False) -> None:
        self.estimate.done += items
        self.estimate.cached += items if cached else 0
        self._show()

    def _show(self) -> None:
        sentence = self.estimate.sentence(self._what, self._unit)
        self._rich.update(self._task, completed=self.estimate.done, total=self.estimate.total, description=sentence)

    def note(self, text: str) -> None:
        self._rich.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        self._rich.stop()


class Silent:
    """Reports to nobody; for library callers and tests."""

    def __init__(self, total: int | None = None) -> None:
        self.estimate = Estimate(total)

    def expect(self, total: int) -> None:
        self.estimate.total = total

    def advance(self, items: int = 1, *, cached: bool = False) -> None:
        self.estimate.done += items
        self.estimate.cached += items if cached else 0

    def note(self, text: str) -> None:
        return None


@contextmanager
def reporting(what: str, total: int | None, unit: str = "items", stream: TextIO | None = None) -> Iterator[Progress]:
    """A progress report for the length of a ``with`` block: a bar on a terminal, lines in a log.

    ``total`` may be None where the task learns it first and then says :meth:`Progress.expect`.
    """
    if stream is None and sys.stderr.isatty():
        bar = _Bar(what, unit, total)
        try:
            yield bar
        finally:
            bar.stop()
    else:
        yield _Lines(what, unit, total, stream or sys.stderr)
