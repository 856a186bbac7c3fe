"""``dubflow demo``: the main job in the embedded world."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit, print_table
from dubflow.errors import ExitCode, WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.platform.demo import DemoReport, OwnClip
    from dubflow.platform.demo_runs import Released


def demo(
    out: Annotated[Path | None, typer.Option(help="Folder for what is made; by default ./demo.")] = None,
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file.")] = "demo",
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Train from nothing instead of from the starter; takes long.")
    ] = False,
    clip: Annotated[str, typer.Option(envvar="DUBFLOW_DEMO_CLIP", help="Dub this clip of yours at the end.")] = "",
    text: Annotated[str, typer.Option(envvar="DUBFLOW_DEMO_TEXT", help="What it is to say.")] = "",
    language: Annotated[str, typer.Option(envvar="DUBFLOW_DEMO_LANGUAGE", help="Language of the text.")] = "",
    reference: Annotated[str, typer.Option(help="File with the voice, or `self`: the clip's own.")] = "self",
    keep_serving: Annotated[
        bool, typer.Option("--keep-serving", help="Leave the server running; `dubflow serve down` ends it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the main job in the embedded world.

    The pipelines train-dubber and train-lora on this machine: talking heads, preparation, pairs, training from the
    starter's weights, score cards, gate, promotion; then the champions dub, the first is served, and dubs a clip over
    HTTP. What is finished is found; a demo that was killed goes on. Who brings a clip with its own voice says that this
    voice may be cloned.
    """
    from dubflow.config import Settings

    home = (out or Settings().home).resolve()
    os.environ["DUBFLOW_HOME"] = str(home)  # its registry is the demo's own
    from dubflow.platform.demo import run_demo

    own = _own(clip, text, language, reference)
    say = lambda line: typer.echo(line, err=True)  # noqa: E731
    report = run_demo(home, preset, say, from_scratch=from_scratch, own=own, keep_serving=keep_serving)
    emit(report.as_dict(), as_json, lambda console: _print_report(console, report))
    if not report.fine:
        raise typer.Exit(ExitCode.BAD_INPUT)


def _own(clip: str, text: str, language: str, reference: str) -> OwnClip | None:
    from dubflow.platform.demo import OwnClip

    if not any((clip, text, language)):
        return None
    if not all((clip, text, language)):
        raise WrongUse("cli.wrong_use", "A clip of yours needs --clip, --text and --language.", "Give all three.")
    return OwnClip(Path(clip), text, language, reference)


def _print_report(console: Console, report: DemoReport) -> None:
    dubs, lips = report.dubs, report.adapter.dubs
    rows = [
        *_released(report.dubber),
        *_released(report.adapter.champion),
        ("both engines", "", str(report.adapter.scores or "")),
        ("dubbed", f"{len(dubs.results)} clips, {dubs.found} found finished", ""),
        *(("", result.language, str(result.out)) for result in dubs.results),
        *(("with new lips", result.language, str(result.out)) for result in lips.results),
        *(("picture", "", str(path)) for path in report.pictures),
    ]
    console.print()
    print_table(console, "Made in the embedded world", ("what", "", "where"), rows)
    for one in (report.dubber, report.adapter.champion):
        if one.verdict:
            told = f"The gate said of {one.model}: {one.verdict['headline']}"
            console.print(f"\n{told}", markup=False, highlight=False)
    lines = [
        (result.out.name, result.language, result.reference, one.speech_start, one.speech_end, one.text)
        for result in (*dubs.results, *lips.results)
        for one in result.segments
    ]
    console.print()
    print_table(console, "Dubbed", ("file", "language", "voice of", "speech from", "to", "text"), lines)
    console.print()
    _print_served(console, report)
    for failure in (*dubs.failures, *lips.failures):
        console.print(f"{failure.clip}: {failure.reason} ({failure.code})", markup=False, highlight=False)


def _released(one: Released) -> list[tuple[str, str, str]]:
    cached = sum(state == "cached" for state in one.run.steps.values())
    verdict = one.verdict or {}
    return [
        ("pipeline", f"{len(one.run.steps)} steps, {cached} found in the cache", one.run.id),
        ("champion", f"{one.model} {one.version}", f"package {one.package[:12]}"),
        ("gate", verdict.get("decision", "not asked"), verdict.get("verdict", "")),
        ("score card", "", verdict.get("card", "")),
        ("evidence page", "", verdict.get("page", "")),
    ]


def _print_served(console: Console, report: DemoReport) -> None:
    served = report.served
    how = "Triton" if served.mode == "triton" else f"in-process: {served.why}"
    rows = [
        ("served", f"{report.dubber.model} {served.version}, by {how}"),
        ("address", served.address if served.kept else f"{served.address} (has ended)"),
        ("clip", str(served.clip)),
        ("job", f"{served.job}{', found' if served.found else ''}"),
        *(("", stage) for stage in served.stages),
        ("voice", served.voice),
        ("result", str(served.out)),
        ("provenance", served.provenance),
    ]
    print_table(console, "Dubbed over HTTP", ("what", ""), rows)
    if served.kept:
        line = f"The server runs on: dubflow serve status --state {report.home / 'serve'} (down ends it)"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
