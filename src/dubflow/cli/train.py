"""``dubflow train``: both stages of DiFlowDubber, and the verbs of JUST-DUB-IT."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.cli.train_base import base
from dubflow.cli.train_lora import lora
from dubflow.cli.training import (
    Devices,
    Mirror,
    Nodes,
    Out,
    Preset,
    Seed,
    Steps,
    Strategy,
    Track,
    changed,
    mirrored_run,
    recorded,
)

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.diflow.training.run import TrainReport
    from dubflow.diflow.training.task import Task

app = typer.Typer(help="Training, with exact resumption.", no_args_is_help=True)
app.command()(lora)
app.command()(base)

Data = Annotated[Path, typer.Option(help="Folder of a prepared set with codec tokens.")]
Codec = Annotated[Path, typer.Option(help="Folder of the codec that the set was prepared with.")]
Start = Annotated[
    str | None, typer.Option(help="Stored model of this stage to begin with: a folder, or the starter's name.")
]


@app.callback()
def train() -> None:
    """Training, with exact resumption."""


@app.command()
def tts(
    data: Data,
    codec: Codec,
    out: Out,
    preset: Preset = "tiny",
    steps: Steps = None,
    seed: Seed = None,
    start: Start = None,
    devices: Devices = None,
    nodes: Nodes = None,
    strategy: Strategy = None,
    track: Track = None,
    mirror: Mirror = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Stage 1: speech from text, in the voice of a reference.

    Goes on where an earlier run in the same folder stopped, to the same weights; does nothing where it is finished.
    """
    from dubflow.config import load_preset
    from dubflow.diflow.nets.settings import NetSettings
    from dubflow.diflow.training.settings import TtsTraining
    from dubflow.diflow.training.task import Task

    given = {"steps": steps, "seed": seed, "devices": devices, "nodes": nodes, "strategy": strategy}
    settings = changed(load_preset(preset, "train_tts", TtsTraining), given)
    nets = load_preset(preset, "nets", NetSettings)
    task = Task(data, codec, nets, settings, Path(preset).stem, start=_found(start))
    _run(task, out, track, mirror, as_json, dry_run)


@app.command()
def dubber(
    data: Data,
    codec: Codec,
    out: Out,
    teacher: Annotated[str | None, typer.Option(help="Stored model of stage 1: a folder, or starter-tts.")] = None,
    preset: Preset = "tiny",
    steps: Steps = None,
    seed: Seed = None,
    start: Start = None,
    devices: Devices = None,
    nodes: Nodes = None,
    strategy: Strategy = None,
    track: Track = None,
    mirror: Mirror = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Stage 2: speech that fits the lips and the face of a silent clip.

    Goes on where an earlier run in the same folder stopped, to the same weights; does nothing where it is finished.
    """
    from dubflow.config import load_preset
    from dubflow.diflow.nets.settings import NetSettings
    from dubflow.diflow.training.settings import DubberTraining
    from dubflow.diflow.training.task import Task

    given = {"steps": steps, "seed": seed, "devices": devices, "nodes": nodes, "strategy": strategy}
    settings = changed(load_preset(preset, "train_dubber", DubberTraining), given)
    nets = load_preset(preset, "nets", NetSettings)
    task = Task(data, codec, nets, settings, Path(preset).stem, _found(teacher), _found(start))
    _run(task, out, track, mirror, as_json, dry_run)


def _found(model: str | None) -> Path | None:
    """A stored model's folder; the starter's are known by name."""
    from dubflow.diflow.stored import find_model

    return None if model is None else find_model(model)


def _run(task: Task, out: Path, track: str | None, mirror: str | None, as_json: bool, dry_run: bool) -> None:
    from dubflow.diflow.training.run import survey
    from dubflow.diflow.training.run import train as train_stage
    from dubflow.parallel import end_with_parent
    from dubflow.progress import Silent, reporting
    from dubflow.training.processes import launched, process_rank

    if dry_run:
        plan = survey(task, out)
        emit(plan, as_json, lambda console: _print_plan(console, plan))
        return
    command = shlex.join(["dubflow", *sys.argv[1:]])
    if launched():  # a launcher that is killed must not leave us behind, holding the folder
        end_with_parent(signal.SIGKILL)
    if process_rank() > 0:  # of several processes the first speaks and writes
        with mirrored_run(out, mirror, Silent()) as bring:
            train_stage(task, out, command=command, bring=bring)
        return
    total = task.settings.steps
    with reporting(f"Training {task.stage}", total, "steps") as progress, mirrored_run(out, mirror, progress) as bring:
        record = recorded(track, f"diflow-{task.stage}", out, progress)
        report = train_stage(task, out, command=command, record=record, progress=progress, bring=bring)
    emit(report.as_dict(), as_json, lambda console: _print_report(console, report))


def _print_plan(console: Console, plan: dict[str, Any]) -> None:
    print_table(console, "Parts and their learning rates", ("part", "group", "rate", "parameters"), plan["groups"])
    left = ", ".join(f"{count} {why}" for why, count in plan["left_out"].items())
    console.print(
        f"{plan['clips']} clips to train on ({left or 'none'} left out), {plan['held']} held out; "
        f"{plan['steps_done']} of {plan['steps']} steps done; nothing was written (--dry-run)",
        highlight=False,
    )


def _print_report(console: Console, report: TrainReport) -> None:
    left = ", ".join(f"{count} {why}" for why, count in report.left_out.items())
    if report.found:
        console.print("Found finished; nothing was done.")
    else:
        done = report.steps - report.resumed_at
        console.print(
            f"{done} steps in {report.wall_s:.0f} s ({done / report.wall_s:.2f} a second)"
            + (f", after {report.resumed_at} found done" if report.resumed_at else ""),
            highlight=False,
        )
    console.print(
        f"{report.clips} clips trained on ({left or 'none'} left out), {report.held} held out; "
        f"{report.parameters / 1e6:.2f} million parameters, {report.trained / 1e6:.2f} trained",
        highlight=False,
    )
    console.print(f"Model: {report.model}", markup=False, highlight=False)
