"""What Triton and the gateway add to a dub, over the same request in this process.

    python benchmarks/serving_overhead.py [--rounds 15]

The ways take turns, each first as often as the others, so that whatever else the machine does falls on all of them
alike; each is compared with the baseline of the very same round. Same clip, text, voice, seed and steps; the sound is
the same, bit for bit. What a job's time through the gateway is made of is told by the job's own times.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np

from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.jobs import DubTask, dub_all
from dubflow.dubbing.provenance.sealing import open_seal
from dubflow.dubbing.watching import UNWATCHED
from dubflow.progress import Silent
from dubflow.serving.engines import open_engine
from serving_common import Gateway, job_of, machine, options_of, print_table, request_of, seeded, server

SETTLE_S = 0.5
"""A worker still measures drift when its client has the dub."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        state = root / "serve"
        job = job_of(request_of(root))
        here = DiflowEngine.open("starter")
        seal = open_seal(root / "signing")
        with server(state, options_of()) as found:
            assert found.gateway is not None
            client = Gateway(state, found.gateway)
            clip = client.upload(job.clip)

            def files(seed: int, way: str) -> None:
                engine = here if way == "here" else open_engine(state)
                out = root / way / f"{seed}.mp4"
                out.parent.mkdir(exist_ok=True)
                report = dub_all([DubTask(request_of(root, seed), out)], engine, Silent(), seal=seal)
                assert not report.errors, report.errors

            def spoken(seed: int) -> None:
                one = seeded(job, seed)
                (said,) = here.speak([here.look(one, UNWATCHED)], UNWATCHED)
                last["here"] = said[0].waveform.tobytes()

            def triton(seed: int) -> None:
                engine = open_engine(state)
                (said,) = engine.speak([engine.look(seeded(job, seed), UNWATCHED)], UNWATCHED)
                last["triton"] = said[0].waveform.tobytes()

            def http(seed: int) -> None:
                sent = time.time()
                jobs.append((sent, client.dub(clip, seed), time.time()))

            last: dict[str, bytes] = {}
            jobs: list[tuple[float, dict[str, str], float]] = []
            ways: dict[str, Callable[[int], None]] = {
                "model: this process (baseline)": spoken,
                "model: through Triton": triton,
                "whole dub: this process (baseline)": lambda seed: files(seed, "here"),
                "whole dub: through Triton": lambda seed: files(seed, "triton"),
                "whole dub: gateway, worker, Triton": http,
            }
            for warm_up in range(2):
                for ask in ways.values():
                    ask(10_000 + warm_up)
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            jobs.clear()
            for seed in range(rounds):
                first = seed % len(ways)
                for way in [*ways][first:] + [*ways][:first]:
                    time.sleep(SETTLE_S)
                    started = time.perf_counter()
                    ways[way](seed)
                    seconds[way].append(time.perf_counter() - started)
                assert last["here"] == last["triton"]
            client.close()
        rows = []
        for way, own in seconds.items():
            baseline = seconds[f"{way.partition(':')[0]}: this process (baseline)"]
            more = np.median(np.subtract(own, baseline))
            points = [f"{1e3 * np.percentile(own, share):.0f}" for share in (50, 95)]
            rows.append((way, *points, "-" if own is baseline else f"{1e3 * more:+.0f}"))
        print(f"{rounds} rounds; {job.frames} frames of 128 pixels, {job.options.steps} steps; {machine()}\n")
        print_table(("way", "p50 ms", "p95 ms", "over its baseline, median ms"), rows)
    print()
    print_table(("of a dub through the gateway", "p50 ms", "p95 ms"), parts_of(jobs))


def parts_of(jobs: list[tuple[float, dict[str, str], float]]) -> list[tuple[str, ...]]:
    """What its time is made of, by the job's own times."""
    moments = [
        (sent, *(datetime.fromisoformat(job[name]).timestamp() for name in ("created", "started", "finished")), heard)
        for sent, job, heard in jobs
    ]
    spans = 1e3 * np.diff(np.array(moments), axis=1)
    names = ("accepted", "waits for a worker", "worked on", "client hears of it")
    return [
        (name, *(f"{np.percentile(own, share):.0f}" for share in (50, 95)))
        for name, own in zip(names, spans.T, strict=True)
    ]


if __name__ == "__main__":
    main()
