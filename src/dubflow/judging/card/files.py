"""A card in files: ``card.json``, and ``rows.parquet`` with a column a figure, for whoever wants to look closer.

Columns of the table: ``clip``, ``item``, ``status``, ``reason``, ``tag.<tag>``, and for each metric ``value.<name>``,
``over.<name>`` and ``under.<name>`` (of corpus ratios), ``reason.<name>``, ``blame.<name>``. The card names the digest
of the rows' content, so a table from another run beside it is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dubflow.atomic import atomic_file, write_json
from dubflow.errors import BadInput, missing_extra
from dubflow.judging.card.rows import FORMAT, ClipScore, ScoreCard, Tags

CARD, ROWS = "card.json", "rows.parquet"
_TAGS = tuple(Tags.model_fields)
_PLAIN = ("clip", "item", "status", "reason")
_NUMBERS = ("value", "over", "under")
_PARTS = (*_NUMBERS, "reason", "blame")
_AGAIN = "Evaluate again with this version."


def write_card(card: ScoreCard, folder: Path) -> Path:
    """Write ``card`` into ``folder``; the card itself comes last, so a folder with one is complete.

    Raises:
        WrongUse: ``install.missing_extra`` without pyarrow.
    """
    folder = Path(folder)
    (folder / CARD).unlink(missing_ok=True)
    write_rows(card.rows, folder / ROWS)
    write_json(folder / CARD, card.model_dump(mode="json"))
    return folder


def read_card(folder: Path) -> ScoreCard:
    """Read a card folder (or the path of its ``card.json``).

    Raises:
        BadInput: ``judging.no_card``, ``judging.unknown_format``, ``judging.bad_card``, ``judging.not_finite``.
        WrongUse: ``install.missing_extra``.
    """
    folder = Path(folder)
    if folder.name == CARD:
        folder = folder.parent
    path = folder / CARD
    if not path.is_file():
        raise BadInput("judging.no_card", f"{folder} has no {CARD}.", "Make one with `dubflow evaluate`.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput("judging.bad_card", f"{path} is not JSON: {error}.", _AGAIN) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise BadInput("judging.unknown_format", f"{path} is of format {found!r}; this dubflow reads {FORMAT}.", _AGAIN)
    try:
        return ScoreCard.model_validate(content | {"rows": read_rows(folder / ROWS)})
    except ValidationError as error:
        raise _bad(path, error) from error


def write_rows(rows: Sequence[ClipScore], path: Path) -> None:
    """Write ``rows`` as one parquet table, sorted by clip.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    arrow, parquet = _arrow()
    ordered = sorted(rows, key=lambda row: row.clip)
    cells: dict[str, list[Any]] = {name: [getattr(row, name) for row in ordered] for name in _PLAIN}
    cells |= {f"tag.{tag}": [getattr(row.tags, tag) for row in ordered] for tag in _TAGS}
    parts = [row.values | row.weights | row.reasons | row.blame for row in ordered]
    for metric in sorted({name for row in parts for name in row}):
        pairs = [row.weights.get(metric, (None, None)) for row in ordered]
        cells[f"value.{metric}"] = [row.values.get(metric) for row in ordered]
        cells[f"over.{metric}"], cells[f"under.{metric}"] = [list(column) for column in zip(*pairs, strict=True)]
        cells[f"reason.{metric}"] = [row.reasons.get(metric) for row in ordered]
        cells[f"blame.{metric}"] = [row.blame.get(metric) for row in ordered]
    columns = {
        name: arrow.array(column, arrow.float64() if name.partition(".")[0] in _NUMBERS else arrow.string())
        for name, column in cells.items()
    }
    table = arrow.table(columns).replace_schema_metadata({"format": FORMAT})
    with atomic_file(path) as part:
        parquet.write_table(table, part)


def read_rows(path: Path) -> tuple[ClipScore, ...]:
    """Read what :func:`write_rows` wrote.

    Raises:
        BadInput: ``judging.no_card``, ``judging.unknown_format``, ``judging.bad_card``, ``judging.not_finite``.
        WrongUse: ``install.missing_extra``.
    """
    arrow, parquet = _arrow()
    if not path.is_file():
        raise BadInput("judging.no_card", f"{path} is missing.", "A copy was cut short: copy it again.")
    try:
        # Bytes first: given a path, the reader would take parts of it for columns of a partitioned data set.
        table = parquet.read_table(arrow.BufferReader(path.read_bytes()))
    except arrow.ArrowException as error:
        raise BadInput("judging.bad_card", f"{path} is not a parquet table: {error}.", _AGAIN) from error
    found = (table.schema.metadata or {}).get(b"format", b"").decode("utf-8", "replace")
    if found != FORMAT:
        raise BadInput("judging.unknown_format", f"{path} is of format {found!r}; this dubflow reads {FORMAT}.", _AGAIN)
    metrics = sorted(name.partition(".")[2] for name in table.column_names if name.startswith("value."))
    known = {*_PLAIN, *(f"tag.{tag}" for tag in _TAGS), *(f"{part}.{name}" for part in _PARTS for name in metrics)}
    if set(table.column_names) != known or len(table.column_names) != len(known):
        odd = ", ".join(sorted(set(table.column_names) ^ known)) or "a column stands twice"
        raise BadInput("judging.bad_card", f"{path} has other columns than a table of scores: {odd}.", _AGAIN)
    try:
        return tuple(_row(row, metrics, path) for row in table.to_pylist())
    except ValidationError as error:
        raise _bad(path, error) from error


def _row(cells: dict[str, Any], metrics: Sequence[str], path: Path) -> ClipScore:
    for name, cell in cells.items():
        if isinstance(cell, float) and not math.isfinite(cell):
            raise BadInput(
                "judging.not_finite",
                f"{path}, clip {cells['clip']}: {name} is no number.",
                "A figure that is undefined stands in a table as none, with a reason.",
            )
    named = {part: {name: cells[f"{part}.{name}"] for name in metrics} for part in _PARTS}
    there = {part: {name: cell for name, cell in column.items() if cell is not None} for part, column in named.items()}
    return ClipScore.model_validate(
        {name: cells[name] for name in _PLAIN}
        | {
            "tags": {tag: cells[f"tag.{tag}"] for tag in _TAGS},
            # A clip that failed has no values at all; of any other each metric stands there, if only with a reason.
            "values": _judged(named["value"], there) if cells["status"] == "ok" else {},
            "weights": {name: (over, there["under"].get(name)) for name, over in there["over"].items()},
            "reasons": there["reason"],
            "blame": there["blame"],
        }
    )


def _judged(values: dict[str, float | None], there: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    return {name: value for name, value in values.items() if value is not None or name in there["reason"]}


def _bad(path: Path, error: ValidationError) -> BadInput:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return BadInput("judging.bad_card", f"{path}, {where or 'card'}: {first['msg']}.", _AGAIN)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("pyarrow") from error
    return pyarrow, pyarrow.parquet
