"""Processes of models: Triton runs each instance in a stub of its own and never starts a dead one again."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dubflow.serving.launcher import shared_memory_prefix, stubs_of
from dubflow.serving.repository import UNREGISTERED

PROGRAM = "model.py"


@dataclass(frozen=True)
class Stub:
    """One process: of which model, and of which version of the registry."""

    process: int
    model: str
    version: int


def running_stubs(directory: Path) -> tuple[Stub, ...]:
    """All that belong to the server of ``directory``."""
    found = (_stub(process) for process in stubs_of(shared_memory_prefix(directory)))
    return tuple(one for one in found if one is not None)


def counted(stubs: tuple[Stub, ...]) -> Counter[tuple[str, int]]:
    """How many processes each model of each version has."""
    return Counter((one.model, one.version) for one in stubs)


def end_stub(stub: Stub) -> None:
    """End a process that hangs; one that is stopped ends as well."""
    if _stub(stub.process) == stub:  # the number may be another's by now
        with suppress(ProcessLookupError):
            os.kill(stub.process, signal.SIGKILL)


def _stub(process: int) -> Stub | None:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return None  # it has just ended
    program = next((Path(word) for word in words if Path(word).name == PROGRAM), None)
    if program is None or not program.parent.name.isdigit():
        return None
    number = int(program.parent.name)
    return Stub(process, program.parent.parent.name, 0 if number == UNREGISTERED else number)
