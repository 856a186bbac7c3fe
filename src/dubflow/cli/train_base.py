"""``dubflow train base``: an LTX-2 from nothing."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.cli.training import Out, Preset, Track, recorded

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.incontext.pretraining.run import BasePreset, BaseReport


def base(
    out: Out,
    preset: Preset = "tiny",
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights.")] = 0,
    track: Track = "none",
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """A small LTX-2 from nothing: autoencoders, vocoder, transformer and text encoder, on drawn talkers.

    Draws what it learns from, goes on where an earlier run in the same folder stopped, does nothing where it is
    finished. The result is a folder that `--base` takes.
    """
    from dubflow.incontext.pretraining.run import base_preset, train_base
    from dubflow.progress import Silent, reporting

    asked = base_preset(preset)
    if dry_run:
        plan = _plan(asked)
        emit(plan, as_json, lambda console: _print_plan(console, plan))
        return
    command = shlex.join(["dubflow", *sys.argv[1:]])
    record = recorded(track, "incontext-base", out, Silent())
    report = train_base(asked, out, command=command, reporting=reporting, record=record, seed=seed)
    emit(report.as_dict(), as_json, lambda console: _print_report(console, report))


def _plan(preset: BasePreset) -> dict[str, Any]:
    """What would be done: clips to draw and steps to take, a part a line."""
    from dubflow.incontext.pretraining.material import PARTS, plans_of

    trainings = (preset.audio_vae, preset.vocoder, preset.video_vae, preset.transformer)
    return {
        "clips": {part: len(plans_of(part, preset.material)) for part in PARTS},
        "steps": {one.section.rpartition(".")[2]: one.steps for one in trainings},
    }


def _print_plan(console: Console, plan: dict[str, Any]) -> None:
    print_table(console, "To be drawn and spoken", ("part", "clips"), list(plan["clips"].items()))
    print_table(console, "To be trained", ("part", "steps"), list(plan["steps"].items()))
    console.print("Nothing was written (--dry-run)", highlight=False)


def _print_report(console: Console, report: BaseReport) -> None:
    if report.found:
        console.print("Found finished; nothing was done.")
    rows = [
        (part.name, part.steps, f"{part.parameters / 1e6:.2f}", f"{part.wall_s:.0f}", _spelled(part.held))
        for part in report.parts
    ]
    print_table(console, "Parts", ("part", "steps", "million numbers", "seconds", "held out"), rows)
    console.print(f"Base: {report.model}", markup=False, highlight=False)


def _spelled(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
