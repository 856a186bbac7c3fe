"""A worker's meters in a process of their own: ``python tests/metrics_process.py FOLDER COUNT HOW``.

It counts COUNT jobs, says ``ready``, and then waits for a line (HOW = wait) or is killed while it writes (HOW = die).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from dubflow.gateway.metrics import Meters, Publisher


def main(folder: str, count: str, how: str) -> None:
    meters = Meters("worker")
    beat = lambda: meters.set("dubflow_worker_seen_timestamp_seconds", 5.0, worker=f"w{count}")  # noqa: E731
    with Publisher(meters, Path(folder), every_s=0.02, beat=beat) as publisher:
        for number in range(int(count)):
            meters.count("dubflow_job_attempts_total", outcome="done", trace=f"{number:032x}")
            meters.observe("dubflow_job_seconds", 3.0, outcome="done")
        publisher.publish()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
