"""Dubs a minute and how long each takes, by how many clients ask at once; dynamic batching on and off.

    python benchmarks/serving_load.py [--workers 4] [--a-level 8] [--segments 64] [--only http|model|denoiser]

Three loads, each in a closed loop (a client asks again once it is answered): dubs over HTTP (accepted, queued, done by
a worker, signed, stored), the model on Triton alone, and its denoiser alone with features that are there already, which
is where batches are made. The baseline of the first two is one process that does the same one after another.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.jobs import DubTask, dub_all
from dubflow.dubbing.provenance.sealing import open_seal
from dubflow.dubbing.watching import UNWATCHED
from dubflow.progress import Silent
from dubflow.serving.control import Control
from dubflow.serving.engines import open_engine
from dubflow.serving.laid_out import REPOSITORY
from dubflow.serving.packing import pack_seen
from serving_common import (
    DENOISER,
    STEPS,
    Denoiser,
    Gateway,
    Load,
    closed_loop,
    job_of,
    machine,
    options_of,
    print_table,
    request_of,
    seeded,
    server,
    tell,
)

LEVELS = (1, 2, 4, 8, 16)
Row = tuple[str, str, Load, str]


def baselines(root: Path, here: DiflowEngine, requests: int) -> list[Row]:
    """One process, one after another."""
    job, seal = job_of(request_of(root)), open_seal(root / "signing")

    def speak(seed: int) -> None:
        here.speak([here.look(seeded(job, seed), UNWATCHED)], UNWATCHED)

    def dub(seed: int) -> None:
        report = dub_all([DubTask(request_of(root, seed), root / f"{seed}.mp4")], here, Silent(), seal=seal)
        assert not report.errors, report.errors

    speak(requests)
    dub(requests)
    whole, model = closed_loop(1, requests, dub), closed_loop(1, requests, speak)
    tell(f"one process: whole dubs {whole.cells()}, the model {model.cells()}")
    return [
        ("whole dub, this process (baseline)", "-", whole, "-"),
        ("model, this process (baseline)", "-", model, "-"),
    ]


def loads(
    root: Path, here: DiflowEngine, batching: bool, workers: int, requests: int, segments: int, only: str | None
) -> list[Row]:
    """All loads on a server of its own."""
    state, job, rows = root / f"serve-{batching}", job_of(request_of(root)), []
    seen = here.look(job, UNWATCHED)
    how = "on" if batching else "off"
    http = only in ("http", None)
    with server(state, options_of(batching), workers=workers, gateway=http) as found:
        assert found.grpc is not None
        control = Control(found.grpc, state, state / REPOSITORY)
        client = Gateway(state, found.gateway) if found.gateway is not None else None
        clip = client.upload(job.clip) if client is not None else ""
        denoisers = [Denoiser(found, state, lambda slip: pack_seen(seen, slip)) for _ in range(max(LEVELS))]

        def batches() -> tuple[int, int]:
            told = control.statistics(DENOISER, 0)
            return told["inferences"], told["executions"]

        def speak(seed: int) -> None:
            engine = open_engine(state)
            engine.speak([engine.look(seeded(job, seed), UNWATCHED)], UNWATCHED)

        def dub(seed: int) -> None:
            assert client is not None
            client.dub(clip, seed)

        asked: dict[str, tuple[Callable[[int], object], Callable[[int], int]]] = {
            "http": (dub, lambda level: max(requests, level)),
            "model": (speak, lambda level: max(requests, level)),
            "denoiser": (lambda number: denoisers[number % len(denoisers)].ask(0), lambda level: segments),
        }
        names = {"http": f"HTTP, {workers} workers", "model": "model on Triton", "denoiser": "denoiser on Triton"}
        for kind, (ask, count) in asked.items():
            if only not in (kind, None):
                continue
            name = names[kind]
            closed_loop(workers, workers, ask)  # every worker has spoken once
            for level in LEVELS:
                before = batches()
                load = closed_loop(level, count(level), ask)
                inferences, executions = (b - a for a, b in zip(before, batches(), strict=True))
                rows.append((name, how, load, f"{inferences / executions:.1f}"))
                tell(f"batching {how}, {name}: {load.cells()}, {inferences} in {executions} batches")
        for one in denoisers:
            one.close()
        if client is not None:
            client.close()
        control.close()
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--a-level", type=int, default=8, help="dubs at each number of clients")
    parser.add_argument("--segments", type=int, default=64, help="of the denoiser at each number of clients")
    parser.add_argument("--only", choices=("http", "model", "denoiser"), help="one of the loads, without baselines")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root, here = Path(name), DiflowEngine.open("starter")
        rows = baselines(root, here, given.a_level) if given.only is None else []
        for batching in (True, False):
            rows += loads(root, here, batching, given.workers, given.a_level, given.segments, given.only)
    print(f"Clips of 10 frames of 128 pixels, {STEPS} steps; {machine()}\n")
    columns = ("load", "batching", "clients", "requests", "a minute", "p50 s", "p95 s", "p99 s", "requests a batch")
    print_table(columns, [(name, how, *load.cells(), batch) for name, how, load, batch in rows])


if __name__ == "__main__":
    main()
