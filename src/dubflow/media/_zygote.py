"""The process from which decoding processes are forked: ``python -m dubflow.media._zygote DESCRIPTOR``.

Starting Python and the decoders takes a third of a second; forking a process that has them takes milliseconds. So one
zygote a caller loads everything once, touches no media itself, and forks one confined process for every file: what a
hostile file does to its process is gone with it and never reaches the next file.

It is told what to do over a socket of datagrams. A job brings its own descriptors: the open file, the socket for the
answers, a pipe on which the zygote says how the process ended. When that socket closes, its parent is gone: it ends,
and the kernel ends its children.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
from typing import Any

from dubflow.media import _jobs
from dubflow.media.confinement import end_with_parent

READY = b"ready"
MOST_REQUEST_BYTES = 65536
MOST_DESCRIPTORS = 8
STATUS = struct.Struct("<i")
_PARENT_CHECK_S = 5.0


class Zygote:
    """Forks jobs and reports their ends."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._parent = os.getppid()
        # By process descriptor: which job it is, its process id, and where to report its end.
        self._running: dict[int, tuple[int, int, int]] = {}

    def serve(self) -> None:
        """Work until the parent closes the socket or ends."""
        control = self._control.fileno()
        while os.getppid() == self._parent:
            ready, _, _ = select.select([control, *self._running], [], [], _PARENT_CHECK_S)
            for descriptor in ready:
                if descriptor == control:
                    if not self._answer():
                        return
                else:
                    self._report_end(descriptor)

    def _answer(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, MOST_REQUEST_BYTES, MOST_DESCRIPTORS)
        if not message:
            return False
        request = json.loads(message)
        if "kill" in request:
            self._kill(request["kill"])
        else:
            self._fork(request, descriptors)
        return True

    def _kill(self, job: int) -> None:
        for running, process, _ in self._running.values():
            if running == job:
                os.kill(process, signal.SIGKILL)

    def _fork(self, request: dict[str, Any], descriptors: list[int]) -> None:
        answers, status, *files = descriptors
        zygote = os.getpid()
        process = os.fork()
        if process == 0:
            try:
                end_with_parent(zygote)
                self._control.close()
                os.close(status)
                _jobs.run(request, socket.socket(fileno=answers), files)
            finally:
                os._exit(0)
        for descriptor in (answers, *files):
            os.close(descriptor)
        self._running[os.pidfd_open(process)] = (request["job"], process, status)

    def _report_end(self, descriptor: int) -> None:
        _, process, status = self._running.pop(descriptor)
        _, how = os.waitpid(process, 0)
        os.close(descriptor)
        with contextlib.suppress(BrokenPipeError):  # nobody may wait for it any more
            os.write(status, STATUS.pack(how))
        os.close(status)


def main() -> None:
    """Load the decoders, say so, serve."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    _jobs.warm_up()
    # A job has no way to speak but its socket.
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
    # Forked processes that never collect do not copy the pages of what was loaded here.
    gc.collect()
    gc.freeze()
    control.send(READY)
    Zygote(control).serve()


if __name__ == "__main__":
    main()
