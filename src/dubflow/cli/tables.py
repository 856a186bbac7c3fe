"""``dubflow tables``: score cards in the shape of a paper's table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.judging.tables import Labelled, Table

_CARDS = "Folders of score cards; SETTING=FOLDER or TIER=FOLDER says where one stands."


def tables(
    shape: Annotated[str, typer.Argument(help="justdubit-1 to -3 or diflowdubber-1 to -5.")],
    cards: Annotated[list[str], typer.Argument(metavar="CARD...", help=_CARDS)],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Take cards of different protocols; the table says so.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Score cards in the shape of a paper's table: a row a system, a column a figure of the paper.

    Every column says which metric of ours stands in it, every dash why there is no figure. The paper's own figures are
    not shown: they were measured by other judges.
    """
    from dubflow.judging.table_text import markdown as as_markdown
    from dubflow.judging.tables import build_table, shape_of

    shape_of(shape)
    table = build_table(shape, [_labelled(one) for one in cards], mixed=mixed)
    if markdown and not as_json:
        typer.echo(as_markdown(table), nl=False)
        return
    emit(table.as_dict(), as_json, lambda console: _print(console, table))


def _labelled(word: str) -> Labelled:
    from dubflow.judging.card.files import read_card
    from dubflow.judging.tables import Labelled

    group, equals, folder = word.partition("=")
    if not equals or Path(word).exists():
        return Labelled(read_card(Path(word)))
    return Labelled(read_card(Path(folder)), group)


def _print(console: Console, table: Table) -> None:
    reasons = table.reasons()
    tiers = len({row.tier for row in table.rows}) > 1
    rows = [
        (
            *((row.tier,) if tiers else ()),
            row.label,
            *(f"–{reasons.index(cell.reason) + 1}" if cell.reason else cell.text for cell in row.cells),
        )
        for row in table.rows
    ]
    heads = list(table.heads)
    if table.settings:
        heads = [f"{head} ({setting})" for head, setting in zip(heads, table.settings, strict=True)]
    print_table(console, table.caption, (*(("tier",) if tiers else ()), "system", *heads), rows)
    for note in (*table.notes, *(f"–{number}: {reason}" for number, reason in enumerate(reasons, start=1))):
        console.print(note, markup=False, highlight=False)
