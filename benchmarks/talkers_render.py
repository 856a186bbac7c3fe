"""How fast the embedded world is made: clips a second, seconds of media a second, and where the time goes.

    python benchmarks/talkers_render.py [--sizes 128,256] [--clips 24] [--workers 2]

For each size the same clips are rendered three times: one process that prepares everything anew for each clip (the
baseline: a new espeak-ng process and a new painter a clip), one process, and ``--workers`` processes. Stages are
measured in a run of one process and add up to its time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from dubflow.media.encode import write_clip
from dubflow.progress import Silent
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.talkers import picture
from dubflow.talkers.performance import perform
from dubflow.talkers.render import render_clip, render_corpus
from dubflow.talkers.scenes import FRAME_RATE, ClipPlan, plan_corpus
from dubflow.talkers.settings import TalkerSettings
from dubflow.talkers.soundtrack import soundtrack

LANGUAGES = ("en", "es", "ru", "fr", "de", "it", "el")
SEED = 1
IDENTITIES = 4


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds (children that have ended included) of ``work``."""
    before, started = os.times(), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, os.times()
    return wall, sum(after[k] - before[k] for k in range(4))


def stages(plans: list[ClipPlan], folder: Path) -> dict[str, float]:
    """Wall seconds by stage, one process."""
    spent = {"voice": 0.0, "perform": 0.0, "draw": 0.0, "encode": 0.0}
    with EspeakSynthesizer() as synthesizer:
        for plan in plans:
            marks = [time.perf_counter()]
            sound = soundtrack(plan, synthesizer)
            marks.append(time.perf_counter())
            performances = perform(plan, sound)
            marks.append(time.perf_counter())
            frames = list(picture.paint_clip(plan, performances, sound.frames))
            marks.append(time.perf_counter())
            write_clip(folder / "clip.mp4", frames, Fraction(FRAME_RATE), sound.waveform, plan.sample_rate, plan.crf)
            marks.append(time.perf_counter())
            for name, start, end in zip(spent, marks[:-1], marks[1:], strict=True):
                spent[name] += end - start
    return spent


def anew(plans: list[ClipPlan], folder: Path) -> None:
    """The baseline: nothing is kept from clip to clip."""
    for plan in plans:
        picture._painter.cache_clear()
        with EspeakSynthesizer() as synthesizer:
            render_clip(plan, folder, synthesizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="128,256")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    each = max(1, options.clips // IDENTITIES)
    print(
        f"{IDENTITIES * each} clips of {IDENTITIES} identities, {len(LANGUAGES)} languages, default mix; embedded world"
    )
    print(f"load average at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    columns = ("wall s", "cpu s", "clips/s", "media s / wall s", "media s / cpu s")
    print(f"{'size':>4}  {'run':<22} " + " ".join(f"{name:>16}" for name in columns))
    for size in map(int, options.sizes.split(",")):
        settings = TalkerSettings(size=size)
        plans = plan_corpus(identities=IDENTITIES, clips=each, languages=LANGUAGES, seed=SEED, settings=settings)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)

            def whole(workers: int, out: Path, settings: TalkerSettings = settings) -> float:
                report = render_corpus(
                    out,
                    identities=IDENTITIES,
                    clips=each,
                    languages=LANGUAGES,
                    seed=SEED,
                    settings=settings,
                    workers=workers,
                    progress=Silent(),
                )
                return report.media_s

            runs: dict[str, Callable[[], object]] = {
                "baseline, nothing kept": lambda plans=plans, folder=folder: anew(plans, folder / "anew"),
                "1 process": lambda folder=folder: whole(1, folder / "one"),
                f"{options.workers} processes": lambda folder=folder: whole(options.workers, folder / "many"),
                "found finished": lambda folder=folder: whole(options.workers, folder / "many"),
            }
            media_s = 0.0
            for name, run in runs.items():
                wall, cpu = timed(run)
                media_s = media_s or whole(1, folder / "anew")
                values = (wall, cpu, len(plans) / wall, media_s / wall, media_s / max(cpu, 0.01))
                print(f"{size:>4}  {name:<22} " + " ".join(f"{value:16.2f}" for value in values))
            spent = stages(plans, folder)
            total = sum(spent.values())
            shares = ", ".join(f"{name} {value:.2f} s ({100 * value / total:.0f} %)" for name, value in spent.items())
            print(f"{size:>4}  stages, 1 process: {shares}\n")


if __name__ == "__main__":
    main()
