"""``dubflow train lora``: JUST-DUB-IT's adapter."""

from __future__ import annotations

import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table
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

    from dubflow.incontext.training.base import Source
    from dubflow.incontext.training.presets import LoraPreset
    from dubflow.incontext.training.run import LoraReport
    from dubflow.incontext.training.task import LoraTask


def lora(
    data: Annotated[Path, typer.Option(help="Pairs: a folder, an LTX trainer's table or .precomputed, or latents.")],
    base: Annotated[str, typer.Option(help="LTX-2: diffusers' folder, a published checkpoint file, or starter.")],
    out: Out,
    preset: Preset = "tiny",
    table: Annotated[Path | None, typer.Option(help="The table in --data, where there are several.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Where latents are kept; by default latents/ in --out.")] = None,
    steps: Steps = None,
    seed: Seed = None,
    start: Annotated[
        Path | None, typer.Option(help="Adapter whose weights the training begins with: a file, or starter.")
    ] = None,
    devices: Devices = None,
    nodes: Nodes = None,
    strategy: Strategy = None,
    track: Track = None,
    mirror: Mirror = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """JUST-DUB-IT: a LoRA with which LTX-2 dubs clips, learnt from pairs.

    Pairs are encoded once and kept. Goes on where an earlier run in the same folder stopped, to the same weights; does
    nothing where it is finished.
    """
    from dubflow.incontext.training.base import Source
    from dubflow.incontext.training.presets import lora_preset
    from dubflow.incontext.training.run import train_lora
    from dubflow.parallel import end_with_parent
    from dubflow.progress import Silent, reporting
    from dubflow.training.processes import launched, process_rank

    given = {"steps": steps, "seed": seed, "devices": devices, "nodes": nodes, "strategy": strategy}
    asked = lora_preset(preset)
    asked = replace(asked, training=changed(asked.training, given))
    settings = asked.training
    source = Source(data, table, cache or out / "latents")
    if dry_run:
        plan = _planned(source, base, asked, start, out)
        emit(plan, as_json, lambda console: _print_plan(console, plan))
        return
    command = shlex.join(["dubflow", *sys.argv[1:]])
    if launched():  # a launcher that is killed must not leave us behind, holding the folder
        end_with_parent(signal.SIGKILL)
    task = _task(source, base, asked, start)
    if process_rank() > 0:  # of several processes the first speaks and writes
        with mirrored_run(out, mirror, Silent()) as bring:
            train_lora(task, out, command=command, bring=bring)
        return
    with (
        reporting("Training lora", settings.steps, "steps") as progress,
        mirrored_run(out, mirror, progress) as bring,
    ):
        record = recorded(track, "incontext-lora", out, progress)
        report = train_lora(task, out, command=command, record=record, progress=progress, bring=bring)
    emit(report.as_dict(), as_json, lambda console: _print_report(console, report))


def _task(source: Source, base: str, preset: LoraPreset, start: Path | None) -> LoraTask:
    """The task; pairs are encoded where they are not."""
    from dubflow.incontext.backbone.named import find_adapter
    from dubflow.incontext.training.base import encoded_pairs, open_base
    from dubflow.incontext.training.task import LoraTask
    from dubflow.progress import Silent, reporting
    from dubflow.training.processes import process_rank

    start = None if start is None else find_adapter(start)
    with_text = not (source.encoded or source.precomputed)
    backbone = open_base(base, preset.training, with_text=with_text)
    if source.encoded or process_rank() > 0:
        latents, backbone = encoded_pairs(source, backbone, preset.data, Silent())
    else:
        with reporting("Encoding", None, "pairs") as progress:
            for note in preset.notes:
                progress.note(note)
            latents, backbone = encoded_pairs(source, backbone, preset.data, progress)
    return LoraTask(latents, backbone, base, preset.lora, preset.training, preset.inference, preset.name, start)


def _planned(source: Source, base: str, preset: LoraPreset, start: Path | None, out: Path) -> dict[str, Any]:
    """What would be done; groups of learning rates are known once pairs are encoded."""
    from dubflow.incontext.training.base import Source
    from dubflow.incontext.training.run import survey

    found = dict(source.survey())
    if found["encoded"] and not source.encoded:
        source = Source(source.cache, None, source.cache)
    plan = found | {"steps": preset.training.steps, "notes": preset.notes}
    return plan | survey(_task(source, base, preset, start), out) if source.encoded else plan


def _print_plan(console: Console, plan: dict[str, Any]) -> None:
    if "groups" in plan:
        columns = ("layer", "group", "rate", "tensors", "parameters")
        print_table(console, "Layers and their learning rates", columns, plan["groups"])
    for note in plan["notes"]:
        console.print(note, markup=False, highlight=False)
    encoded = "encoded" if plan["encoded"] else "not encoded yet"
    console.print(
        f"{plan['pairs']} pairs ({plan['rejected']} rejected), {encoded}; "
        f"{plan.get('steps_done', 0)} of {plan['steps']} steps done; nothing was written (--dry-run)",
        highlight=False,
    )


def _print_report(console: Console, report: LoraReport) -> None:
    if report.found:
        console.print("Found finished; nothing was done.")
    else:
        done = report.steps - report.resumed_at
        after = f", after {report.resumed_at} found done" if report.resumed_at else ""
        console.print(f"{done} steps in {report.wall_s:.0f} s{after}", highlight=False)
    console.print(
        f"{report.pairs} pairs trained on ({report.unmasked} without a face mask, {report.left_out} left out), "
        f"{report.held} held out; {report.trained / 1e6:.2f} million parameters trained",
        highlight=False,
    )
    console.print(f"Adapter: {report.adapter}", markup=False, highlight=False)
