"""A table of references as a benchmark: what anybody's clips are judged against.

CSV (comma, a header, UTF-8) or JSON lines, a row a clip. Columns: ``id``, which is also the clip's name, and any of
``source``, ``reference``, ``voice`` (files), ``transcript``, ``language``, ``source_language``, ``speaker``,
``length``, ``difficulty``, ``world``. Paths are relative to the table and stay in its folder. Empty cells are no
values.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from dubflow.corpora.listing import ISO_639_1, inside, language_code, read_lines, read_text
from dubflow.errors import BadInput
from dubflow.judging.card.items import Benchmark, BenchmarkItem, ItemFile, item_file

World = Literal["embedded", "real"]

FILES = ("source", "reference", "voice")
COLUMNS = (
    "id",
    *FILES,
    "transcript",
    "language",
    "source_language",
    "speaker",
    "length",
    "difficulty",
    "world",
)
_WORLDS = ("embedded", "real")
_HINT = "See the columns in the guide; correct the table."

Row = tuple[int, dict[str, str]]


def read_references(table: Path, *, world: World | None = None, name: str | None = None) -> Benchmark:
    """The benchmark that a table describes; its root is the table's folder.

    Args:
        world: of all clips; without it what the column says, and real where there is none.
        name: of the benchmark; the table's by default.

    Raises:
        BadInput: ``judging.no_references``; ``judging.bad_references`` naming the line, for anything that is no such
            table, for files that are not there, and for rows of two worlds.
    """
    table = Path(table)
    if not table.is_file():
        raise BadInput("judging.no_references", f"There is no table {table}.", "Name a CSV or JSON lines file.")
    suffix = table.suffix.lower()
    if suffix not in (".csv", ".jsonl"):
        raise BadInput(
            "judging.bad_references",
            f"{table} is neither .csv nor .jsonl.",
            "Save the table as CSV or as JSON lines.",
        )
    items: dict[str, BenchmarkItem] = {}
    lines: dict[str, int] = {}
    worlds: dict[str, int] = {}
    for line, cells in _csv(table) if suffix == ".csv" else _json_lines(table):
        item = _item(table, line, cells)
        if item.id in items:
            raise _bad(table, line, f"{item.id} stands in line {lines[item.id]} already")
        items[item.id], lines[item.id] = item, line
        worlds.setdefault(cells.get("world", ""), line)
    if not items:
        raise BadInput("judging.bad_references", f"{table} has no rows.", "Give a row a clip.")
    said = world or _world(table, worlds)
    return Benchmark(name=name or table.stem, world=said, items=tuple(items.values()))


def _csv(table: Path) -> Iterator[Row]:
    # Quoted cells may hold line ends, so the reader's own count tells where a row ends, and the next begins.
    reader = csv.reader(io.StringIO(_text(table), newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if header is None:
                    header = _header(table, line, cells)
                elif len(cells) != len(header):
                    raise _bad(table, line, f"it has {len(cells)} cells, the header {len(header)}")
                else:
                    yield line, {key: cell.strip() for key, cell in zip(header, cells, strict=True) if cell.strip()}
            line = reader.line_num + 1
    except csv.Error as error:
        raise _bad(table, line, str(error)) from error


def _header(table: Path, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    _check_columns(table, line, names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _bad(table, line, f"columns stand twice: {', '.join(twice)}")
    if "id" not in names:
        raise _bad(table, line, "there is no column id")
    return names


def _json_lines(table: Path) -> Iterator[Row]:
    for line, text in _lines(table):
        try:
            value = json.loads(text, object_pairs_hook=_each_once)
        except (ValueError, RecursionError) as error:
            raise _bad(table, line, f"it is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise _bad(table, line, "it is no object")
        _check_columns(table, line, list(value))
        odd = sorted(key for key, cell in value.items() if cell is not None and not isinstance(cell, str))
        if odd:
            raise _bad(table, line, f"values are texts, and {', '.join(odd)} is none")
        yield line, {key: cell.strip() for key, cell in value.items() if cell is not None and cell.strip()}


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands twice")
    return dict(pairs)


def _check_columns(table: Path, line: int, names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise _bad(table, line, f"unknown columns: {', '.join(map(repr, unknown))}; known are {', '.join(COLUMNS)}")


def _item(table: Path, line: int, cells: Mapping[str, str]) -> BenchmarkItem:
    if "id" not in cells:
        raise _bad(table, line, "it has no id")
    languages = {role: _language(table, line, cells.get(role)) for role in ("language", "source_language")}
    source, target = languages["source_language"], languages["language"]
    content = {
        "id": cells["id"],
        **{role: _file(table, line, role, cells[role]) for role in FILES if role in cells},
        **languages,
        "transcript": cells.get("transcript"),
        "tags": {
            "language_pair": f"{source}-{target}" if source and target else "",
            **{tag: cells.get(tag, "") for tag in ("speaker", "length", "difficulty")},
        },
    }
    try:
        return BenchmarkItem.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise _bad(table, line, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _file(table: Path, line: int, role: str, named: str) -> ItemFile:
    root = table.parent
    try:
        return item_file(root / inside(root, named), root)
    except BadInput as error:
        raise _bad(table, line, f"{role}: {error.headline.rstrip('.')}") from error


def _language(table: Path, line: int, named: str | None) -> str | None:
    if named is None:
        return None
    plain = re.split(r"[-_]", named.lower())[0]
    code = language_code(named) or (plain if plain in ISO_639_1 else None)
    if code is None:
        raise _bad(table, line, f"{named!r} is no language (give its ISO 639-1 code)")
    return code


def _world(table: Path, worlds: Mapping[str, int]) -> World:
    for named, line in worlds.items():
        if named not in ("", *_WORLDS):
            raise _bad(table, line, f"the world is one of {', '.join(_WORLDS)}, not {named!r}")
    meant = {named or "real": line for named, line in worlds.items()}
    if len(meant) > 1:
        raise _bad(table, max(meant.values()), "its clips are of another world than those above")
    return "embedded" if "embedded" in meant else "real"


def _text(table: Path) -> str:
    try:
        return read_text(table, ends="as they are")  # within quotes they are the text's
    except BadInput as error:
        raise BadInput("judging.bad_references", error.headline, "Save the table in UTF-8.") from error


def _lines(table: Path) -> list[tuple[int, str]]:
    try:
        return read_lines(table)
    except BadInput as error:
        raise BadInput("judging.bad_references", error.headline, "Save the table in UTF-8.") from error


def _bad(table: Path, line: int, what: str) -> BadInput:
    return BadInput("judging.bad_references", f"{table}, line {line}: {what}.", _HINT, line=line)
