"""What tests of the server run in processes of their own."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from dubflow.diflow.stored import STARTER, find_model
from dubflow.serving.control import Control
from dubflow.serving.launcher import TritonServer
from dubflow.serving.repository import FRONT, install_version, switch_on


def serve_until_killed(root: Path) -> None:
    """A server with one stub; prints its process id once that runs."""
    server = TritonServer(root / "models", root)
    server.start()
    install_version(root / "models", find_model(STARTER), 1)
    switch_on(root / "models", 1, (FRONT,))  # the front alone: it is there in a moment
    control = Control(server.grpc, root, root / "models")
    control._load(FRONT)
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    while True:
        time.sleep(1)


if __name__ == "__main__":
    serve_until_killed(Path(sys.argv[1]))
