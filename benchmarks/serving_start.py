"""Cold start: from `serve up` to the first dub that a client of the HTTP API has, with its parts.

    python benchmarks/serving_start.py [--times 1]

Each start is in a new folder, with nothing made ready but the machine's file cache (a first start that is not measured
warms it). Triton is compared with the same server in-process, and with `dubflow dub`, which needs no server.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dubflow.errors import DubflowError
from dubflow.platform.serving_stack import WantedMode, listens
from dubflow.serving.laid_out import REPOSITORY
from dubflow.serving.repository import FRONT, UNREGISTERED
from dubflow.serving.state import ServingState, read_state
from serving_common import FRAMES, STEPS, TEXT, Gateway, machine, options_of, print_table, request_of, server, tell

LOOK_S = 0.02
PARTS: dict[str, Callable[[Path, ServingState | None], bool]] = {
    "supervisor runs": lambda folder, state: state is not None,
    "Triton answers": lambda folder, state: state is not None and state.grpc is not None,
    "gateway listens": lambda folder, state: state is not None and _listens(state),
    "starter has spoken in a process of its own": lambda folder, state: any(folder.glob("models/*/export.json")),
    "Triton loads its models": lambda folder, state: _loads(folder),
    "starter serves": lambda folder, state: state is not None and state.current is not None,
}
"""What can be seen from outside, each once."""


def _loads(folder: Path) -> bool:
    """Whether it was told to."""
    return (folder / REPOSITORY / FRONT / str(UNREGISTERED)).is_dir()


def _listens(state: ServingState) -> bool:
    return state.gateway is not None and listens(int(state.gateway.rpartition(":")[2]))


class Clock:
    """Notes when each part is seen for the first time."""

    def __init__(self, folder: Path) -> None:
        self.seen: dict[str, float] = {}
        self._folder, self._over = folder, threading.Event()
        self.started = time.monotonic()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def since(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self.started

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            try:
                state = read_state(self._folder)
            except DubflowError:
                state = None
            for name, holds in PARTS.items():
                if name not in self.seen and holds(self._folder, state):
                    self.seen[name] = self.since()


def start(root: Path, number: int, mode: WantedMode) -> dict[str, float]:
    """Seconds from `serve up` to each part, by the clock."""
    request, folder = request_of(root), root / f"{mode}-{number}"
    clock = Clock(folder)
    with server(folder, options_of(), mode=mode) as state:
        assert state.gateway is not None
        clock.seen["serve up has answered"] = clock.since()
        client = Gateway(folder, state.gateway)
        clip = client.upload(request.clip)
        for name in ("first dub is done", "second dub is done"):
            client.dub(clip, len(clock.seen))
            clock.seen[name] = clock.since()
        clock.stop()
        client.close()
    tell(f"{mode}: {clock.seen}")
    return clock.seen


def without_server(root: Path, number: int) -> dict[str, float]:
    """The same clip by `dubflow dub`: everything is loaded for it."""
    request, out = request_of(root), root / f"cli-{number}.mp4"
    words = ["dub", str(request.clip), "--text", TEXT, "--language", "en", "--reference", request.reference]
    more = ["--out", str(out), "--nfe", str(STEPS), "--seed", str(number), "--no-face", "speak"]
    program = str(Path(sys.executable).with_name("dubflow"))
    started = time.monotonic()
    subprocess.run([program, *words, *more], check=True, capture_output=True)
    return {"first dub is done": time.monotonic() - started}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=1)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        ways: dict[str, Callable[[int], dict[str, float]]] = {
            "on Triton": lambda number: start(root, number, "triton"),
            "in-process": lambda number: start(root, number, "in-process"),
            "dubflow dub (baseline)": lambda number: without_server(root, number),
        }
        without_server(root, times)
        found = {way: [measure(number) for number in range(times)] for way, measure in ways.items()}
    names = sorted({one for runs in found.values() for one in runs[0]}, key=lambda one: _when(found, one))
    print(f"Seconds since the start, {times} of each way; {FRAMES} frames, {STEPS} steps; {machine()}\n")
    print_table(("", *ways), [(one, *(_shown(found[way], one) for way in ways)) for one in names])


def _when(found: dict[str, list[dict[str, float]]], name: str) -> float:
    return next(runs[0][name] for runs in found.values() if name in runs[0])


def _shown(runs: list[dict[str, float]], name: str) -> str:
    seconds = [run[name] for run in runs if name in run]
    return " / ".join(f"{one:.1f}" for one in seconds) or "-"


if __name__ == "__main__":
    main()
