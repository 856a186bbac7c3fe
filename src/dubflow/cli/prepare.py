"""``dubflow prepare``: features and tokens of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import DryRun, Json, Workers, emit, print_table
from dubflow.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.corpora.prepare import PrepareReport


def prepare(
    corpus: Annotated[Path, typer.Argument(help="A corpus folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the prepared set.")],
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file.")] = "tiny",
    codec: Annotated[Path | None, typer.Option(help="Folder of a codec; without one there are no tokens.")] = None,
    part: Annotated[str | None, typer.Option(help="Only a part, such as 0/4, the first of four.")] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(help="A prepared set to take finished clips from, such as a part's; repeatable."),
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Compute features and tokens.

    Into sharded safetensors, keyed by content: a second run does nothing, one changed clip redoes one clip, a killed
    run goes on. Exit code 3 when a clip could not be prepared; the others are, and each failure stands with its reason.
    """
    from dubflow.config import load_preset
    from dubflow.corpora.parts import Part
    from dubflow.corpora.prepare import prepare_corpus, survey_preparation
    from dubflow.corpora.settings import PrepareSettings
    from dubflow.speech.codecs.stored import load_codec

    settings = load_preset(preset, "prepare", PrepareSettings)
    coder = None if codec is None else load_codec(codec)
    if dry_run:
        plan = survey_preparation(corpus, out, settings, codec=coder)
        sentence = "{clips} clips: {found} found done, {to_do} would be prepared; nothing was written (--dry-run)"
        emit(plan, as_json, lambda console: console.print(sentence.format(**plan), highlight=False))
        return
    chosen = None if part is None else Part.parse(part)
    report = prepare_corpus(
        corpus, out, settings, codec=coder, workers=workers, part=chosen, earlier=tuple(earlier or ())
    )
    emit({"out": str(out), **report.as_dict()}, as_json, lambda console: print_prepared(console, report, out))
    if report.failed:
        raise typer.Exit(ExitCode.BAD_INPUT)


def print_prepared(console: Console, report: PrepareReport, out: Path) -> None:
    """Counts, what clips lack and why, and where the set is."""
    console.print(
        f"{report.clips} clips: prepared {report.done} now, found {report.found}, failed {len(report.failed)}; "
        f"{report.bytes / 2**20:.1f} MiB, {report.seconds:.1f} s",
        highlight=False,
    )
    if report.reasons:
        print_table(console, "Without", ("reason", "clips"), sorted(report.reasons.items()))
    if report.failed:
        rows = [(name, one.code, one.reason) for name, one in sorted(report.failed.items())]
        print_table(console, "Failed", ("clip", "code", "reason"), rows)
    console.print(f"Prepared set: {out}", markup=False, highlight=False)
