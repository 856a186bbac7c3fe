"""``dubflow synthesize``: training pairs that a base makes itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.cli.synthesize_prompts import prompts as _prompts

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Training material that models make.", no_args_is_help=True)


app.command("prompts")(_prompts)


@app.callback()
def synthesize() -> None:
    """Training material that models make."""


@app.command()
def pairs(
    base: Annotated[str, typer.Option(help="LTX-2: diffusers' folder, a published checkpoint file, or starter.")],
    out: Annotated[Path, typer.Option(help="Folder of the pairs; the same folder goes on.")],
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file.")] = "tiny",
    prompts: Annotated[
        Path | None, typer.Option(help="Prompts: JSON lines or YAML; by default they are drawn.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many prompts are drawn; a prompt gives two pairs.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of prompts, clips and noise.")] = 0,
    shard: Annotated[
        str | None, typer.Option(help="Only a part of the prompts, such as 0/4, the first of four.")
    ] = None,
    earlier: Annotated[
        list[Path] | None, typer.Option(help="A folder to take finished prompts from, such as a shard's; repeatable.")
    ] = None,
    export: Annotated[str | None, typer.Option(help="Also write dataset, precomputed, or both with a comma.")] = None,
    quality: Annotated[bool, typer.Option(help="Judge the pairs, and reject by the preset's limits.")] = True,
    judges: Annotated[
        str | None,
        typer.Option(
            help="A YAML file or preset whose section `judges` names weights of large judges, and `incontext.chat` a "
            "vision-language model. By default those that come with the package."
        ),
    ] = None,
    page: Annotated[bool, typer.Option(help="Write a page of figures, reasons and pairs to look at.")] = True,
    name: Annotated[str, typer.Option(help="Name of the set.")] = "synthesised",
    licence: Annotated[str | None, typer.Option(help="Terms of the pairs; by default those of the base.")] = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """JUST-DUB-IT's data engine: clips that change language, cut and re-spoken, as pairs to train an adapter with.

    Every prompt is made once, by however many processes, in one folder or several; a killed run goes on. The manifest
    is written when the last prompt is done. Exit code 3 when no pair is left to train with; the manifest says why.
    """
    from dubflow.corpora.parts import Part
    from dubflow.incontext.pairs.shards import WHOLE, nothing_kept, survey
    from dubflow.incontext.pairs.shards import synthesize as made
    from dubflow.platform.synthesis import (
        export_pairs,
        exports_of,
        licence_of,
        open_engine,
        page_of,
        prompts_for,
        synthesis_preset,
    )
    from dubflow.progress import reporting

    settings, exports = synthesis_preset(preset), exports_of(export)
    part = WHOLE if shard is None else Part.parse(shard)
    usable, told = prompts_for(prompts, count, seed, settings.prompts)
    engine = open_engine(base, settings, judged=quality, judges=judges)
    if dry_run:
        plan = survey(engine, usable, out, seed, part) | {"asked": told.model_dump()}
        emit(plan, as_json, lambda console: _print_plan(console, plan))
        return
    with reporting("Synthesising", None, "prompts") as progress:
        terms = licence or licence_of(engine.backbone)
        report = made(
            engine, usable, out, seed, name=name, licence=terms, part=part, earlier=earlier or (), progress=progress
        )
    answer: dict[str, Any] = {"out": str(out), "world": engine.backbone.world or "real", **report.as_dict()}
    answer |= {"asked": told.model_dump(), "exports": {}, "page": None}
    if page and report.pairs:
        with reporting("Writing the page", None, "pairs") as progress:
            answer["page"] = str(page_of(out, settings.quality, progress))
    if exports and report.kept:
        with reporting("Exporting", None, "pairs") as progress:
            answer["exports"] = export_pairs(out, exports, engine.backbone, settings.data, progress)
    if report.kept == 0 and as_json:
        raise nothing_kept(report)
    emit(answer, as_json, lambda console: _print_report(console, answer))
    if report.kept == 0:
        raise nothing_kept(report)


def _print_plan(console: Console, plan: dict[str, Any]) -> None:
    seconds = "" if plan["seconds"] is None else f", about {plan['seconds']:.0f} s by what is there"
    console.print(
        f"{plan['prompts']} prompts, part {plan['part']}: {plan['found']} found done, {plan['to_do']} would be made, "
        f"at most {plan['pairs_at_most']} pairs; {plan['denoisings']} denoisings, {plan['passes']} passes of at most "
        f"{plan['tokens']} video tokens, {plan['flops'] / 1e12:.3g} TFLOP in all{seconds}; "
        "nothing was written (--dry-run)",
        highlight=False,
    )


def _print_report(console: Console, answer: dict[str, Any]) -> None:
    console.print(
        f"{answer['done']} prompts made now, {answer['found']} found done, {answer['missing']} missing; "
        f"{answer['wall_s']:.0f} s",
        highlight=False,
    )
    for title, name in (("Prompts without a pair", "failed"), ("Rejected pairs", "rejected")):
        if answer[name]:
            print_table(console, title, ("reason", "how many"), sorted(answer[name].items()))
    if answer["pairs"] is None:
        console.print("Run the other parts in this folder, or join their folders with --earlier.", highlight=False)
        return
    cost, each = answer["cost"], ""
    if answer["kept"]:
        whole, own = cost["seconds_per_kept"], cost["device_seconds_per_kept"]
        each = f"; {whole:.1f} s for each, of these {own:.1f} s by the base; {cost['tries']:.0f} tries"
    console.print(f"{answer['kept']} of {answer['pairs']} pairs kept{each}", highlight=False)
    console.print(f"Pairs ({answer['world']}): {answer['out']}", markup=False, highlight=False)
    if answer["page"]:
        console.print(f"Page: {answer['page']}", markup=False, highlight=False)
    for export, folder in answer["exports"].items():
        console.print(f"{export}: {folder}", markup=False, highlight=False)
