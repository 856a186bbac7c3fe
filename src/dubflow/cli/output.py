"""How every verb answers: a table for a person, or with ``--json`` one JSON document on standard output.

Errors go to standard error for a person and to standard output as ``{"error": {...}}`` for a machine, so that a script
always finds exactly one document where it looks.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.errors import DubflowError

Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on standard output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and change nothing.")]
PIPE_WIDTH = 160
Workers = Annotated[
    int | None,
    typer.Option(min=1, envvar="DUBFLOW_WORKERS", help="Worker processes; by default one a processor core."),
]


def emit(result: dict[str, Any], as_json: bool, human: Callable[[Console], None]) -> None:
    """Print ``result`` for a machine, or let ``human`` print it for a person."""
    try:
        if as_json:
            print(json.dumps(result, indent=2, ensure_ascii=False, default=_plain))  # noqa: T201
        else:
            from rich.console import Console

            # A pipe has no width of its own; rich would squeeze tables into 80 columns there.
            human(Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (`dubflow … | head`); it has what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain table; numbers to the right, everything else to the left."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) for row in rows) and bool(rows)
        # The last column takes what is left and may wrap; the others are short and must stay readable.
        last = index == len(columns) - 1
        table.add_column(column, justify="right" if numeric else "left", no_wrap=not last, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))  # Text, because a string's [brackets] would be markup
    console.print(table)


def print_error(error: DubflowError, as_json: bool) -> None:
    """The headline, then the hint, then the code; or the JSON form."""
    if as_json:
        told = error.as_dict() | {"exit_code": int(error.exit_code)}  # a launcher of several processes hides theirs
        print(json.dumps({"error": told}, indent=2, ensure_ascii=False, default=_plain))  # noqa: T201
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True)
    console.print(Text.assemble(("Error: ", "bold red"), error.headline))
    if error.hint:
        console.print(Text.assemble(("Hint:  ", "bold"), error.hint))
    console.print(Text(f"Code:  {error.code}", style="dim"))


def wants_json() -> bool:
    """Whether this process was asked for JSON; needed for errors raised before a verb has parsed its options."""
    return "--json" in sys.argv[1:]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
