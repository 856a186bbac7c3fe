"""What kfp.local says while it runs: all of it into the log, steps into the record, the rest to whoever asks."""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TextIO, cast

from dubflow.platform.pipelines.records import StepState
from dubflow.platform.steps.verbs import MARK

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BEGINS = re.compile(r"Executing task '([^']+)'")
_CACHED = re.compile(r"Task (\S+) cache hit")
_ENDS = re.compile(r"Task '([^']+)' finished with status '([A-Z]+)'")
_OURS = re.compile(rf"^\s*{MARK} (.*)")


class Listening(io.TextIOBase):
    """Takes the place of standard output for the length of a ``with`` block.

    Args:
        log: file that everything is added to.
        names: of steps, for people, by KFP's name of the task.
        say: is told the lines that a person wants to see.
        changed: is told the states of steps whenever one begins or ends.
    """

    def __init__(
        self,
        log: Path,
        names: Mapping[str, str],
        say: Callable[[str], None],
        changed: Callable[[Mapping[str, StepState]], None],
    ) -> None:
        self._path, self._names, self._say, self._changed = log, names, say, changed
        self._steps: dict[str, StepState] = {}
        self._rest, self._lock = "", threading.RLock()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Listening:
        self._log = self._stack.enter_context(open(self._path, "a", encoding="utf-8", buffering=1))
        self._stack.enter_context(contextlib.redirect_stdout(cast(TextIO, self)))
        # Steps in threads leave the print that each found there; the one there was comes back at the end.
        self._stack.callback(setattr, builtins, "print", builtins.print)
        self._stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module="kfp")
        root = logging.getLogger()
        handler, level = logging.StreamHandler(cast(TextIO, self)), root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        self._stack.callback(root.setLevel, level)
        self._stack.callback(root.removeHandler, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def writable(self) -> bool:
        """It takes text."""
        return True

    def write(self, text: str) -> int:
        """Take what is said, in pieces of any size, from any thread."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._take(line)
        return len(text)

    def closed_as(self, state: str) -> Mapping[str, StepState]:
        """States of all steps, now that the run has ended; what was going on ended as the run did."""
        left: StepState = "succeeded" if state == "succeeded" else "failed"
        return {name: left if one == "running" else one for name, one in self._steps.items()}

    def _take(self, line: str) -> None:
        plain = _COLOUR.sub("", line)
        self._log.write(plain + "\n")
        if (found := _BEGINS.search(plain)) is not None:
            self._note(found[1], "running", self._called(found[1]))
        elif (found := _CACHED.search(plain)) is not None:
            self._note(found[1], "cached", f"{self._called(found[1])}: found in the cache")
        elif (found := _ENDS.search(plain)) is not None:
            self._note(found[1], "succeeded" if found[2] == "SUCCESS" else "failed", "")
        elif (found := _OURS.match(plain)) is not None:
            self._say(f"    {found[1]}")

    def _called(self, step: str) -> str:
        known = list(self._steps)
        return f"[{(known.index(step) if step in known else len(known)) + 1}] {self._names.get(step, step)}"

    def _note(self, step: str, state: StepState, text: str) -> None:
        self._steps[step] = state
        if text:
            self._say(text)
        self._changed(dict(self._steps))


def to_standard_error(line: str) -> None:
    """A line for whoever follows a run."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
