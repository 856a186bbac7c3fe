"""``dubflow talkers``: the embedded world, drawn and voiced here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import DryRun, Json, Workers

if TYPE_CHECKING:
    pass

app = typer.Typer(help="Drawn talking heads with exact alignments.", no_args_is_help=True)


@app.callback()
def talkers() -> None:
    """Drawn talking heads with exact alignments."""


@app.command()
def render(
    out: Annotated[Path, typer.Option(help="Folder of the corpus.")],
    identities: Annotated[int, typer.Option(min=1, help="How many persons.")] = 8,
    clips: Annotated[int, typer.Option(min=1, help="Clips of each person.")] = 8,
    languages: Annotated[str, typer.Option(help="Comma-separated: en es ru fr de it el.")] = "en",
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    size: Annotated[int | None, typer.Option(help="Picture size in pixels; by default the preset's.")] = None,
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file.")] = "tiny",
    workers: Workers = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Render a corpus in GRID's layout with a manifest; goes on where an earlier run stopped."""
    raise NotImplementedError
