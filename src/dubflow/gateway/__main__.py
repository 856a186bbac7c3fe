"""``python -m dubflow.gateway --state DIR``: the HTTP API, until SIGTERM or Ctrl-C.

Requests that run are answered first; event streams are ended after some seconds, and their clients come back.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from dubflow.errors import DubflowError


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dubflow.gateway", description="The HTTP API.")
    parser.add_argument("--state", type=Path, help="folder of the serving state")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="0 takes a free one")
    given = parser.parse_args(arguments)
    try:
        return _serve(given)
    except DubflowError as error:
        sys.stderr.write(json.dumps({"error": error.as_dict() | {"exit_code": int(error.exit_code)}}) + "\n")
        return int(error.exit_code)


def _serve(given: argparse.Namespace) -> int:
    from dubflow.gateway.app import create_app
    from dubflow.gateway.logs import configure_logging
    from dubflow.gateway.server import listening, server_of
    from dubflow.gateway.settings import load_settings

    configure_logging()
    settings = load_settings(state=given.state, host=given.host, port=given.port)
    bound = listening(settings)
    server = server_of(create_app(settings), settings)
    port = bound.getsockname()[1]
    logging.getLogger("dubflow.gateway").info("listening", extra={"port": port})
    sys.stdout.write(json.dumps({"listening": f"http://{settings.host}:{port}", "port": port}) + "\n")
    sys.stdout.flush()
    # uvicorn sends itself the signal again once it has ended well; whoever asked for the end wants to see 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _told)
    server.run(sockets=[bound])
    return 0


def _told(_number: int, _frame: FrameType | None) -> None:
    """Nothing is left to do."""


if __name__ == "__main__":
    sys.exit(main())
