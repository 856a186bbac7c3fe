"""Outlives a server that was killed, and ends what that left behind.

A stub notices by itself that its server is gone, unless the server died with a lock of their shared memory in its hand:
then the stub waits for ever. Whoever started the server may have been killed with it, so this is a process of its own.
It is run by its path and on the standard library alone: ``python guard.py PROCESS`` costs a few MiB and no time.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_STUB = b"triton_python_backend_stub"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the server's processes meet
_GRACE_S, _LOOK_S = 3.0, 0.1


def stubs_with(word: str, *, whole: bool = False) -> dict[int, list[str]]:
    """Stubs that have ``word`` on their command line (``whole``: as an argument), and that line, by process id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:
            continue
        wanted = word.encode()
        there = wanted in command if whole else any(wanted in one for one in command)
        if _STUB in command[0] and there:
            found[int(path.parent.name)] = [one.decode(errors="replace") for one in command]
    return found


def watch(server: int) -> None:
    """Wait until the process ``server`` ends, then end stubs that still name it, and free their shared memory."""
    with suppress(OSError):  # it has ended already
        select.select([os.pidfd_open(server)], [], [])
    deadline = time.monotonic() + _GRACE_S
    while left := stubs_with(str(server), whole=True):
        if time.monotonic() > deadline:
            _end(left)
            return
        time.sleep(_LOOK_S)


def _end(stubs: dict[int, list[str]]) -> None:
    for process, command in stubs.items():
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        for word in command[2:]:
            if word.startswith("dubflow") and "/" not in word:
                (SHARED_MEMORY / word).unlink(missing_ok=True)


if __name__ == "__main__":
    watch(int(sys.argv[1]))
