"""Stage 2 of DiFlowDubber without one of its parts at a time: the rows of the paper's Table 3, in the embedded world.

    python benchmarks/diflow_ablations.py PREPARED --teacher TTS/model --codec CODEC --out DIR
        [--steps 900] [--seeds 0 1] [--only full alignment ...] [--clips 72] [--nfe 16]

Every variant is trained from the same stage-1 model (but the one without stage 1) on the same batches for equally many
steps, and judged on the same clips (``diflow_evaluation.py``). Finished variants in DIR are found and not trained
again. Differences to the full model are paired by clip, seeds of a clip taken together; "worse" and "better" are said
where the interval excludes 0. What the paper found is named as a direction only: its figures are of real recordings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diflow_evaluation import COLUMNS, FRAME_S, Dubbed, dubbed_by, headline, held_out, judge, shown
from dubflow.config import load_preset
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.training.run import train
from dubflow.diflow.training.settings import DubberTraining
from dubflow.diflow.training.task import Task
from dubflow.judging.bootstrap import Interval, bootstrap, ratio
from dubflow.progress import reporting


@dataclass(frozen=True)
class Variant:
    """A row.

    Attributes:
        paper: row of Table 3. weights: of Eq. 7, changed. nets: settings of the network, changed.
        stage_1: whether it begins from stage 1 and is distilled from it.
    """

    name: str
    paper: int
    weights: Mapping[str, float]
    nets: Mapping[str, bool]
    stage_1: bool = True


VARIANTS = {
    "full": Variant("full model", 1, {}, {}),
    "stage1": Variant("without stage 1 (nor its distillation)", 2, {"distill": 0.0}, {}, stage_1=False),
    "alignment": Variant("without L_VT and L_ST", 3, {"video_text": 0.0, "speech_text": 0.0}, {}),
    "distillation": Variant("without L_distill", 6, {"distill": 0.0}, {}),
    "ctc": Variant("without L_CTC", 7, {"ctc": 0.0}, {}),
    "fuse": Variant("without fusing the prosody prior", 8, {}, {"fuse_prior": False}),
    "fapro": Variant("without FaPro", 9, {}, {"face_prior": False}),
}
DEFAULT = ("full", "alignment", "distillation", "ctc", "fapro", "stage1")
PAPER = "WER worse, AVSync worse"
"""The direction of every row of Table 3 against its first, for what can be compared here."""


def trained(variant: Variant, seed: int, options: argparse.Namespace) -> Path:
    """The stored model of a variant, trained unless it was."""
    settings = load_preset(options.preset, "train_dubber", DubberTraining)
    weights = settings.weights.model_copy(update=variant.weights)
    changes: dict[str, Any] = {"weights": weights, "seed": seed, "adopt": variant.stage_1}
    if options.steps is not None:
        changes["steps"] = options.steps
    nets = load_preset(options.preset, "nets", NetSettings).model_copy(update=variant.nets)
    task = Task(
        options.prepared,
        options.codec,
        nets,
        settings.model_copy(update=changes),
        options.preset,
        options.teacher if variant.stage_1 else None,
    )
    out = options.out / f"{variant.name.replace(' ', '_')}-{seed}"
    with reporting(f"{variant.name}, seed {seed}", None, "steps") as progress:
        report = train(task, out, command="benchmarks/diflow_ablations.py", progress=progress)
    if not report.found:
        print(f"{variant.name}, seed {seed}: {report.steps} steps in {report.wall_s / 60:.1f} min", flush=True)
    return report.model


@dataclass(frozen=True)
class Measure:
    """A figure of the table: for each seed and clip a pair (what is counted, of how many).

    Attributes:
        sign: 1 where more is better, -1 where less is.
    """

    name: str
    of: Callable[[Dubbed, int], tuple[float, float]]
    sign: int
    digits: int = 1
    percent: bool = True


def _column(name: str, sign: int, digits: int = 1, *, percent: bool = True) -> Measure:
    column = next(one for one in COLUMNS if one.name == name)

    def counted(dubbed: Dubbed, clip: int) -> tuple[float, float]:
        value = column.of(dubbed.system.judged[clip])
        return (0.0, 0.0) if value is None else (value, 1.0)

    return Measure(name, counted, sign, digits, percent)


def _words(dubbed: Dubbed, clip: int) -> tuple[float, float]:
    one = dubbed.system.judged[clip]
    return one.errors, one.words


MEASURES = (
    Measure("WER", _words, -1),
    _column("edges within a frame of the true sound's", 1),
    Measure("plan's edges within a frame", lambda dubbed, clip: (dubbed.plans[clip].within(FRAME_S + 1e-9), 1), 1),
    _column("own voice nearest (codec's vectors)", 1),
    _column("own voice nearest (frame books)", 1),
    _column("F0 correlation", 1, 2, percent=False),
    _column("MCD, dB", -1, 2, percent=False),
)


def counts(runs: Sequence[Dubbed], measure: Measure) -> np.ndarray:
    """``[clips, 2]``, summed over seeds."""
    clips = len(runs[0].system.judged)
    return np.array([np.sum([measure.of(run, clip) for run in runs], axis=0) for clip in range(clips)], dtype=float)


def difference(runs: Sequence[Dubbed], base: Sequence[Dubbed], measure: Measure) -> Interval:
    """How much more than the full model, clip by clip."""
    rows = np.concatenate([counts(runs, measure), counts(base, measure)], axis=1)
    return bootstrap(rows, lambda drawn: ratio(drawn[:, :2]) - ratio(drawn[:, 2:]))


def direction(change: Interval, sign: int) -> str:
    """What the interval says."""
    if change.low <= 0 <= change.high:
        return "no clear difference"
    return "better" if change.value * sign > 0 else "worse"


def main() -> None:
    """Train what is missing, judge all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--teacher", type=Path, required=True, help="stored model of stage 1")
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=None, help="of every variant; by default the preset's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(DEFAULT))
    parser.add_argument("--splits", nargs="+", default=["test", "val"])
    parser.add_argument("--clips", type=int, default=72)
    parser.add_argument("--nfe", type=int, default=16)
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    chosen = list(dict.fromkeys(["full", *options.only]))
    held = held_out(options.prepared, splits=options.splits, most=options.clips)
    print(headline(held, options.nfe), flush=True)
    runs: dict[str, list[Dubbed]] = {}
    for name in chosen:
        for seed in options.seeds:
            model = trained(VARIANTS[name], seed, options)
            run = dubbed_by(held, model, nfe=options.nfe, seed=seed, name=f"{name}-{seed}")
            judge(held, [run.system], options.codec, workers=options.workers)
            runs.setdefault(name, []).append(run)
    names = [measure.name for measure in MEASURES]
    print(f"\nSeeds {options.seeds}; in each cell the figure with its interval, then the change to the full model.\n")
    print("| | row of Table 3 | " + " | ".join(names) + " | paper's direction |")
    print("|---" * (len(names) + 3) + "|")
    for name in chosen:
        cells = []
        for measure in MEASURES:
            own = bootstrap(counts(runs[name], measure), ratio)
            cell = shown(own, measure.digits, percent=measure.percent)
            if name != "full":
                change = difference(runs[name], runs["full"], measure)
                cell += f"; {shown(change, measure.digits, percent=measure.percent)} {direction(change, measure.sign)}"
            cells.append(cell)
        variant = VARIANTS[name]
        print(f"| {variant.name} | {variant.paper} | " + " | ".join(cells) + f" | {PAPER if name != 'full' else ''} |")


if __name__ == "__main__":
    main()
