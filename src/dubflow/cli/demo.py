"""``dubflow demo``: the main job in the embedded world."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, Workers, emit, print_table
from dubflow.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.platform.demo import DemoReport


def demo(
    out: Annotated[Path | None, typer.Option(help="Folder for what is made; by default ./demo.")] = None,
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file.")] = "tiny",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Run the main job in the embedded world.

    Renders talking heads, checks and prepares them, trains for a moment, dubs clips with the starter model, and says
    what it made and where. Does only what is missing.
    """
    from dubflow.config import Settings
    from dubflow.platform.demo import run_demo

    report = run_demo(out or Settings().home, preset, lambda text: typer.echo(text, err=True), workers)
    emit(report.as_dict(), as_json, lambda console: _print_report(console, report))
    if not report.fine:
        raise typer.Exit(ExitCode.BAD_INPUT)


def _print_report(console: Console, report: DemoReport) -> None:
    made, prepared, trained, dubs = report.rendered, report.preparation, report.training, report.dubs
    new = len(dubs.results) - dubs.found
    sheet, *spectrograms = report.pictures
    rows = [
        ("corpus", f"{made.clips} clips, {made.media_s:.0f} s", _now(made.rendered, made.clips), str(report.corpus)),
        ("check", f"{report.checked.count('error')} errors, {report.checked.count('warning')} warnings", "", ""),
        (
            "prepared",
            f"{prepared.clips - len(prepared.failed)} clips, {prepared.bytes / 2**20:.1f} MiB",
            _now(prepared.done, prepared.clips),
            str(report.prepared),
        ),
        (
            "training",
            f"stage 2, {trained.steps} steps",
            _now(0 if trained.found else trained.steps - trained.resumed_at, trained.steps),
            str(report.run),
        ),
        ("dubbed", f"{len(dubs.results)} clips", _now(new, len(dubs.results)), str(report.dubbed)),
        ("pictures", "one row a speaker", "", str(sheet)),
        ("", f"{len(spectrograms)} spectrograms", "", str(report.dubbed)),
    ]
    console.print()
    print_table(console, "Made in the embedded world", ("what", "how much", "this time", "where"), rows)
    lines = [
        (result.out.name, result.language, result.reference, one.speech_start, one.speech_end, one.text)
        for result in dubs.results
        for one in result.segments
    ]
    console.print()
    print_table(console, "Dubbed", ("file", "language", "voice of", "speech from", "to", "text"), lines)
    for failure in dubs.failures:
        console.print(f"{failure.clip}: {failure.reason} ({failure.code})", markup=False, highlight=False)


def _now(new: int, total: int) -> str:
    return (
        "all found finished" if not new else f"{new} new" + (f", {total - new} found finished" if new < total else "")
    )
