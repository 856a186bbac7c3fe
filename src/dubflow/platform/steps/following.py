"""A step ends with the run that it belongs to.

A runner on this machine starts steps through a shell, so the system's own signal for a parent's death would tell of the
shell's. A step therefore watches the runner itself.
"""

from __future__ import annotations

import os
import select
import signal
import threading

RUNNER = "DUBFLOW_RUNNER_PID"
"""Environment variable: process id of the runner on this machine; unset on a cluster, where the pod ends its steps."""


def follow_runner() -> None:
    """Have SIGTERM sent to this process as soon as the runner is gone; does nothing outside of a run."""
    told = os.environ.get(RUNNER)
    if not told:
        return
    try:
        runner = os.pidfd_open(int(told))
    except ProcessLookupError:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    threading.Thread(target=_watch, args=(runner,), name="runner", daemon=True).start()


def _watch(runner: int) -> None:
    poll = select.poll()
    poll.register(runner, select.POLLIN)
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
