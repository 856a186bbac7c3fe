"""What kfp.local says while it runs: all of it into the log, steps into the record, the rest to whoever asks."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dubflow.platform.pipelines.records import StepState
from dubflow.platform.steps.verbs import MARK

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BEGINS = re.compile(r"Executing task '([^']+)'")
_CACHED = re.compile(r"Task (\S+) cache hit")
_ENDS = re.compile(r"Task '([^']+)' finished with status ([A-Z]+)")
_OURS = re.compile(rf"^\s*{MARK} (.*)")


class Listening:
    """Takes what a run says, line by line.

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

    def take_all(self, lines: Iterable[str]) -> None:
        """Take everything, to the end."""
        with open(self._path, "a", encoding="utf-8", buffering=1) as log:
            for line in lines:
                plain = _COLOUR.sub("", line.rstrip("\n"))
                log.write(plain + "\n")
                self._take(plain)

    def closed_as(self, state: str) -> Mapping[str, StepState]:
        """States of all steps, now that the run has ended; what was going on ended as the run did."""
        left: StepState = "succeeded" if state == "succeeded" else "failed"
        return {name: left if one == "running" else one for name, one in self._steps.items()}

    def _take(self, line: str) -> None:
        if (found := _BEGINS.search(line)) is not None:
            self._note(found[1], "running", self._called(found[1]))
        elif (found := _CACHED.search(line)) is not None:
            self._note(found[1], "cached", f"{self._called(found[1])}: found in the cache")
        elif (found := _ENDS.search(line)) is not None:
            self._note(found[1], "succeeded" if found[2] == "SUCCESS" else "failed", "")
        elif (found := _OURS.match(line)) is not None:
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
