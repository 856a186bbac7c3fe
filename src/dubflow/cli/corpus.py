"""``dubflow corpus``: public layouts in, and what is wrong with a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, Workers, emit, print_table
from dubflow.errors import ExitCode, WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.corpora.result import Coverage

SHOWN = 10
"""Problems and findings shown to a person; all of them stand in the JSON and in coverage.json."""

app = typer.Typer(help="Import and check corpora.", no_args_is_help=True)


@app.callback()
def corpus() -> None:
    """Import and check corpora."""


@app.command("import")
def import_(
    layout: Annotated[str, typer.Argument(help="chem grid hdtf justdubit libritts ljspeech ltx talkers talkvid")],
    root: Annotated[Path, typer.Argument(help="The corpus as it was published: a folder, or a table of clips.")],
    out: Annotated[Path, typer.Option(help="Folder of the imported corpus.")],
    media: Annotated[Path | None, typer.Option(help="Where the media lies, if not below ROOT.")] = None,
    table: Annotated[Path | None, typer.Option(help="The table to read, where the layout has several.")] = None,
    split_list: Annotated[list[str] | None, typer.Option(help="A published list, as train=FILE; repeatable.")] = None,
    language: Annotated[str | None, typer.Option(help="Language of clips whose layout does not tell.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of clips whose layout does not tell.")] = None,
    speaker: Annotated[str | None, typer.Option(help="Speaker of clips whose layout does not tell.")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the media instead of linking to it.")] = False,
    workers: Workers = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Read a public layout.

    Writes a manifest, links to the media, and an account of everything that was listed: found, missing, broken, why.
    """
    from dubflow.corpora.importing import import_corpus, survey_corpus
    from dubflow.corpora.listing import ReadOptions
    from dubflow.progress import reporting

    options = ReadOptions(
        lists=_split_lists(split_list or []),
        media=media,
        table=table,
        language=language,
        licence=licence,
        speaker=speaker,
        workers=workers,
    )
    with reporting(f"import {layout}", None, "clips") as report:
        if dry_run:
            coverage = survey_corpus(layout, root, options=options, progress=report)
        else:
            _, coverage = import_corpus(
                layout, root, out, options=options, placing="copy" if copy else "link", progress=report
            )
    result: dict[str, Any] = {"layout": layout, "out": None if dry_run else str(out), "coverage": coverage.as_dict()}
    emit(result, as_json, lambda console: _print_coverage(console, coverage, None if dry_run else out))


def _split_lists(words: list[str]) -> dict[Any, Path]:
    lists: dict[Any, Path] = {}
    for word in words:
        split, equals, path = word.partition("=")
        if not equals or split not in ("train", "val", "test") or not path:
            hint = "For example --split-list val=list.txt."
            raise WrongUse("cli.bad_split_list", f"{word!r} is not SPLIT=FILE.", hint)
        lists[split] = Path(path)
    return lists


def _print_coverage(console: Console, coverage: Coverage, out: Path | None) -> None:
    counts = coverage.as_dict()
    names = ("listed", "found", "missing", "broken", "left_out")
    print_table(console, "", names, [tuple(counts[name] for name in names)])
    if coverage.problems:
        rows = [(one.kind, one.code, one.item, one.reason) for one in coverage.problems[:SHOWN]]
        console.print()
        print_table(console, "", ("kind", "code", "item", "reason"), rows)
    if len(coverage.problems) > SHOWN:
        rest = len(coverage.problems) - SHOWN
        where = f"{out / 'coverage.json'} lists all" if out else "--json lists all"
        console.print(f"… and {rest} more; {where}.", markup=False, highlight=False)
    console.print(f"\nCorpus: {out}" if out else "\nNothing was written (--dry-run).", markup=False, highlight=False)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A corpus folder.")],
    prepared: Annotated[Path | None, typer.Option(help="Its prepared set, to compare shapes with.")] = None,
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file; its section check.")] = "tiny",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Look for what is wrong with a corpus.

    Changed and duplicate files, times outside the clip, transcripts that do not fit, speakers in two splits, unknown
    licences, shapes that disagree. Exit code 3 when there are errors; warnings alone are fine.
    """
    from dubflow.config import load_preset
    from dubflow.corpora.check import check_corpus
    from dubflow.corpora.manifest import read_manifest
    from dubflow.corpora.settings import CheckSettings
    from dubflow.progress import reporting

    settings = load_preset(preset, "check", CheckSettings)
    manifest = read_manifest(folder)
    with reporting("check", len(manifest), "clips") as progress:
        report = check_corpus(manifest, prepared, settings, workers=workers, report=progress)

    def human(console: Console) -> None:
        console.print(f"{folder}: {len(manifest)} clips", markup=False, highlight=False)
        rows = [(one.severity, one.code, one.clip, one.message) for one in report.findings[:SHOWN]]
        if rows:
            print_table(console, "", ("severity", "code", "clip", "message"), rows)
        if len(report.findings) > SHOWN:
            console.print(f"… and {len(report.findings) - SHOWN} more; --json lists all.")
        console.print(f"{report.count('error')} errors, {report.count('warning')} warnings.")

    emit(report.as_dict(), as_json, human)
    if not report.ok:
        raise typer.Exit(ExitCode.BAD_INPUT)
