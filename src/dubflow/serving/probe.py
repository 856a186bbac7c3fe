"""``python -m dubflow.serving.probe --state DIR``: whether this pod's version can be asked; exit code 0 or 1.

Triton calls itself ready while the process of a model is dead, and not ready while a new version is broken and the one
that serves is not. So it is asked for the models of the very version, and the keeper's last deep look (the golden clip)
counts as well. The standard library alone: a kubelet runs it every few seconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_STATE, _REPOSITORY = "serving.json", "repository"
_UNREGISTERED = 1_000_000_000
_ANSWER_S = 3.0


def why_not_ready(directory: Path) -> str:
    """In a few words; empty where the current version of the server of a folder is ready."""
    try:
        state = _state(directory)
        current, health, address = state["current"], state["health"], state["http"]
    except (OSError, ValueError, KeyError) as error:
        return f"there is no state: {error}"
    if current is None or address is None:
        return "no version is served yet"
    if health is None or not health["fine"]:
        return "the golden clip was not dubbed yet" if health is None else f"not well: {health['reason']}"
    number = int(current["version"]) or _UNREGISTERED
    models = sorted(path.parent.name for path in (directory / _REPOSITORY).glob(f"*/{number}"))
    if not models:
        return f"version {current['version']} is not laid out"
    return next((f"{name} {number} is not ready" for name in models if not _ready(address, name, number)), "")


def why_not_alive(directory: Path) -> str:
    """In a few words; empty where Triton answers at all, whatever it serves."""
    try:
        address = _state(directory)["http"]
    except (OSError, ValueError, KeyError) as error:
        return f"there is no state: {error}"
    if address is None:
        return "Triton does not run"
    return "" if _fine(address, "/v2/health/live") else "Triton does not answer"


def _state(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / _STATE).read_text(encoding="utf-8"))
    return found


def _ready(address: str, model: str, number: int) -> bool:
    return _fine(address, f"/v2/models/{model}/versions/{number}/ready")


def _fine(address: str, path: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=_ANSWER_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Look once."""
    parser = argparse.ArgumentParser(prog="python -m dubflow.serving.probe", description="Whether a version answers.")
    parser.add_argument("--state", type=Path, required=True, help="folder of the serving state")
    parser.add_argument("--alive", action="store_true", help="only whether the server answers at all")
    given = parser.parse_args(arguments)
    why = why_not_alive(given.state) if given.alive else why_not_ready(given.state)
    if why:
        sys.stderr.write(f"not {'alive' if given.alive else 'ready'}: {why}\n")
    return int(bool(why))


if __name__ == "__main__":
    sys.exit(main())
