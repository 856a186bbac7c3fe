"""What both stages of DiFlowDubber reach on held-out speakers and sentences, beside the original and the codec.

    python benchmarks/diflow_training.py PREPARED --tts RUN/model --dubber RUN/model [--clips 72] [--nfe 16]
    python benchmarks/diflow_training.py PREPARED --train OUT --codec CODEC [--preset tiny] [--steps N]

``--train`` first runs ``dubflow train tts`` and ``dubflow train dubber`` into OUT. The last lines say which of the
project's aims are met: WER at most 10 points above the codec's resynthesis, speech starts and ends within one video
frame in 90 % of the clips, no length error, the own reference's voice nearest in 90 %. On rendered clips all figures
are of the embedded world and say nothing about real speech. See ``diflow_evaluation.py`` for clips and judges.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from diflow_evaluation import (
    COLUMNS,
    FRAME_S,
    System,
    dubbed_by,
    extra_word_errors,
    figure,
    headline,
    held_out,
    judge,
    originals,
    resynthesised,
    shown,
    spoken_by,
    table,
    word_errors,
)
from dubflow.judging.bootstrap import bootstrap

MOST_EXTRA_WER = 0.10
LEAST_IN_TIME = LEAST_OWN_VOICE = 0.90


def train(prepared: Path, codec: Path, out: Path, preset: str, steps: int | None) -> tuple[Path, Path]:
    """Both stages by the command a person would type; returns the models' folders."""
    models: list[Path] = []
    for stage in ("tts", "dubber"):
        command = [sys.executable, "-m", "dubflow", "train", stage, "--data", str(prepared), "--codec", str(codec)]
        command += ["--preset", preset, "--out", str(out / stage), "--track", "none"]
        command += ["--steps", str(steps)] if steps is not None else []
        command += ["--teacher", str(models[0])] if models else []
        started = time.perf_counter()
        subprocess.run(command, check=True)
        print(f"trained {stage} in {(time.perf_counter() - started) / 60:.1f} min", flush=True)
        models.append(out / stage / "model")
    return models[0], models[1]


def aims(dubbed: System, codec: System) -> list[str]:
    """Each aim, its figure, and whether it is met."""
    extra = extra_word_errors(dubbed, codec)
    in_time, own = figure(dubbed, COLUMNS[0]), figure(dubbed, COLUMNS[4])
    lengths = [one.length_error for one in dubbed.judged]

    def line(aim: str, value: str, met: bool) -> str:
        return f"| {aim} | {value} | {'met' if met else 'NOT met'} |"

    assert in_time is not None
    assert own is not None
    return [
        "| aim | figure | |\n|---|---|---|",
        line(
            "WER at most 10 points above the codec's resynthesis",
            shown(extra, 1, percent=True).replace(" %", " points"),
            extra.value <= MOST_EXTRA_WER,
        ),
        line(
            "starts and ends within one frame of the lips' own sound in 90 %",
            shown(in_time, 1, percent=True),
            in_time.value >= LEAST_IN_TIME,
        ),
        line("length error 0", f"{sum(map(bool, lengths))} of {len(lengths)} differ", not any(lengths)),
        line("own reference nearest in 90 %", shown(own, 1, percent=True), own.value >= LEAST_OWN_VOICE),
    ]


def as_json(systems: list[System]) -> dict[str, object]:
    """The table for machines."""
    return {
        system.name: {"wer": vars(word_errors(system))}
        | {column.name: vars(found) if (found := figure(system, column)) else None for column in COLUMNS}
        for system in systems
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--tts", type=Path, help="stored model of stage 1")
    parser.add_argument("--dubber", type=Path, help="stored model of stage 2")
    parser.add_argument("--train", type=Path, metavar="OUT", help="train both stages into OUT first")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=None, help="of each stage; by default the preset's")
    parser.add_argument("--codec", type=Path, help="codec folder, where no model brings one")
    parser.add_argument("--splits", nargs="+", default=["test", "val"], help="no network was chosen by val's figures")
    parser.add_argument("--clips", type=int, default=72)
    parser.add_argument("--nfe", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--json", type=Path, help="write the table there, too")
    options = parser.parse_args()
    if options.train is not None:
        if options.codec is None:
            parser.error("--train needs the --codec that the set was prepared with")
        options.tts, options.dubber = train(
            options.prepared, options.codec, options.train, options.preset, options.steps
        )
    model = options.dubber or options.tts
    codec = options.codec or (model / "codec" if model else None)
    if codec is None:
        parser.error("give --tts, --dubber, --train or --codec")
    held = held_out(options.prepared, splits=options.splits, most=options.clips, seed=options.seed)
    print(headline(held, options.nfe), flush=True)
    systems = [originals(held), resynthesised(held, codec)]
    if options.tts is not None:
        systems.append(spoken_by(held, options.tts, nfe=options.nfe, seed=options.seed))
    dubbed = None
    if options.dubber is not None:
        started = time.process_time()
        dubbed = dubbed_by(held, options.dubber, nfe=options.nfe, seed=options.seed)
        seconds = sum(map(len, dubbed.system.sounds)) / 16_000
        print(f"dubbed {seconds:.0f} s at {(time.process_time() - started) / seconds:.3f} of real time, with decoding")
        systems.append(dubbed.system)
    judge(held, systems, codec, workers=options.workers)
    print("\n" + table(systems))
    if dubbed is not None:
        planned = bootstrap([float(plan.within(FRAME_S + 1e-9)) for plan in dubbed.plans])
        print(f"\nStage 2's plan (before any sound) has both edges within a frame: {shown(planned, 1, percent=True)}\n")
        print("\n".join(aims(dubbed.system, systems[1])))
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(systems), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
