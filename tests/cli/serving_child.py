"""A process that starts a server which is not to outlive it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from dubflow.platform.serving_stack import plan_stack
from dubflow.platform.serving_status import start_detached
from dubflow.serving.options import ServeOptions

WITHIN_S = 180.0


def serve_until_killed(directory: Path) -> None:
    """The starter's server; says when it is ready."""
    plan = plan_stack(directory, ServeOptions(model="starter"), port=0)
    start_detached(plan, WITHIN_S, lambda _: None, outlives=False)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        time.sleep(1)


if __name__ == "__main__":
    serve_until_killed(Path(sys.argv[1]))
