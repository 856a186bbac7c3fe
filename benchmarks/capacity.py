"""From measured service times to nodes, for 10 to 1,000,000 minutes a day.

    python benchmarks/capacity.py [--times FILE.json] [--wait 60] [--price P]
    python benchmarks/capacity.py --measure FILE.json [--rounds 3]

``--measure`` dubs with the embedded world's starter in this process, alone on the machine as far as it is: clips of
2, 4 and 8 seconds (the golden clip once, twice, four times), and batches of 1, 2, 4 and 8 of the short one. The second
form writes what the first one reads; ``configs/capacity/embedded-cpu.json`` was made by it.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dubflow.atomic import write_json
from dubflow.cli.capacity import COLUMNS, row
from dubflow.platform.capacity.demand import Demand
from dubflow.platform.capacity.planning import Objective, plan_capacity
from dubflow.platform.capacity.times import SHIPPED, Measured, ServiceTimes, load_times

MINUTES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
REPEATS, BATCHES = (1, 2, 4), (1, 2, 4, 8)
COLD_START_S = 58.5
"""From `dubflow serve up` to the first dub: benchmarks/serving_start.py, docs/benchmarks.md."""
OVERHEAD_S = 0.64
"""Of the gateway and its worker: benchmarks/serving_overhead.py, docs/benchmarks.md."""


def measure(out: Path, rounds: int) -> None:
    """Dub, and write down how long it took."""
    from dubflow.dubbing.diflow_engine import DiflowEngine
    from dubflow.serving.golden import STEPS, golden_job

    engine = DiflowEngine.open("starter")
    with tempfile.TemporaryDirectory(prefix="dubflow-capacity-") as room:
        jobs = {times: _job(Path(room), times) for times in REPEATS}
        _dub(engine, [golden_job()], 0)  # what is loaded at the first dub is part of the cold start
        dubs, shares = [], {size: [] for size in BATCHES}
        for number in range(rounds):
            for times, job in jobs.items():
                clip_s, work_s = job.frames / 25, _dub(engine, [job], number)
                dubs.append(Measured(clip_s=clip_s, work_s=round(work_s, 3)))
                sys.stderr.write(f"{times * 2} s of clip: {work_s:.2f} s\n")
            for size in BATCHES:
                shares[size].append(_dub(engine, [jobs[1]] * size, number) / size)
    alone = float(np.median(shares[1]))
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    found = ServiceTimes(
        world=engine.world,
        machine=f"{os.cpu_count()} cores of {_processor()}, torch on {threads} thread(s)",
        source=f"python benchmarks/capacity.py --measure, {datetime.now(UTC):%Y-%m-%d}; starter, {STEPS} steps; "
        f"load average {os.getloadavg()[0]:.0f}",
        dubs=tuple(dubs),
        batch_share={size: 1.0 if size == 1 else round(float(np.median(shares[size])) / alone, 3) for size in BATCHES},
        overhead_s=OVERHEAD_S,
        cold_start_s=COLD_START_S,
    )
    write_json(out, found.model_dump(mode="json"))
    sys.stderr.write(f"{found.device_s_per_minute:.1f} s a dubbed minute; batches {found.batch_share}\n")


def _job(room: Path, times: int) -> Any:
    """The golden clip so many times in a row, with its sentence in each."""
    from dubflow.dubbing.jobs import DubTask, plan_task
    from dubflow.dubbing.request import SELF, DubRequest, SegmentText
    from dubflow.dubbing.voice import read_voice
    from dubflow.media.decode import read_clip
    from dubflow.media.encode import write_clip
    from dubflow.serving.golden import CLIP, LANGUAGE, TEXT, golden_request

    found = read_clip(CLIP)
    assert found.frames is not None
    assert found.waveform is not None
    path = room / f"{times}.mp4"
    write_clip(path, np.concatenate([found.frames] * times), 25, np.concatenate([found.waveform] * times),
               found.sample_rate)  # fmt: skip
    options = golden_request().options
    segments = tuple(SegmentText(text=TEXT, start=2.0 * one, end=2.0 * (one + 1)) for one in range(times))
    request = DubRequest(clip=path, segments=segments, language=LANGUAGE, reference=SELF, options=options)
    _, plan = plan_task(DubTask(request, path.with_suffix(".dub.mp4")))
    from dubflow.dubbing.engine import Job

    return Job(path, plan.frames, plan.segments, LANGUAGE, read_voice(path, options, own=True), options)


def _dub(engine: Any, jobs: list[Any], seed: int) -> float:
    """Seconds that it takes to look at these and to speak them together."""
    from dubflow.dubbing.watching import UNWATCHED

    began = time.perf_counter()
    asked = [
        replace(job, options=job.options.model_copy(update={"seed": 100 * seed + number}))
        for number, job in enumerate(jobs)
    ]
    engine.speak([engine.look(job, UNWATCHED) for job in asked], UNWATCHED)
    return time.perf_counter() - began


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(times: ServiceTimes, objective: Objective, minutes: tuple[int, ...]) -> str:
    """Markdown."""
    columns = [*COLUMNS, *(["cost a day", "scaled"] if objective.price is not None else [])]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for one in minutes:
        found = plan_capacity(times, Demand(minutes_a_day=one), objective)
        cells = [str(cell) for cell in row(found)]
        if objective.price is not None:
            cells += [f"{found.cost:,.2f}", "" if found.scaled_cost is None else f"{found.scaled_cost:,.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=Path, help="measure, and write this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", default=SHIPPED)
    parser.add_argument("--wait", type=float, default=60.0, help="seconds that 95 %% of the jobs may wait")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--price", type=float, help="of a node's hour")
    given = parser.parse_args()
    if given.measure is not None:
        measure(given.measure, given.rounds)
        return
    times = load_times(given.times)
    sys.stdout.write(
        f"{times.device_s_per_minute:.1f} s of a node a dubbed minute; {times.label}.\n{times.source}; "
        f"cold start {times.cold_start_s:g} s, {times.overhead_s:g} s a job beside the model.\n\n"
    )
    objective = Objective(wait_s=given.wait, batch=given.batch, price=given.price)
    sys.stdout.write(table(times, objective, MINUTES) + "\n")


if __name__ == "__main__":
    main()
