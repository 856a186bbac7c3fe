"""LTX trainer datasets: a CSV, JSON or JSONL table of captions and files (LTX-2, ``dataset-preparation.md``).

Columns, under any of their names: the clip (``video``, ``media_path``), ``caption``, the reference
(``reference_video``, ``ref_media_path``, ``reference_path``), ``reference_audio``, ``audio``, the mask (``mask_path``,
``video_mask``) and ``audio_mask``. Paths are relative to the table. One row is one clip; reference, masks and audio go
with it under ``source["files"]``. A caption of the form *Somebody is speaking French, saying: "…"* gives language and
transcript. JUST-DUB-IT's ``dataset.json`` is such a table.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from dubflow.corpora.gather import gather
from dubflow.corpora.listing import (
    IMAGE_SUFFIXES,
    Listed,
    Listing,
    ReadOptions,
    clip_id,
    inside,
    language_code,
    read_json,
    read_lines,
    read_text,
)
from dubflow.corpora.result import ImportResult
from dubflow.errors import BadInput
from dubflow.progress import Progress

CLIP_COLUMNS = ("video", "media_path")
FILE_COLUMNS = {
    "reference_video": ("reference_video", "ref_media_path", "reference_path"),
    "reference_audio": ("reference_audio",),
    "audio": ("audio",),
    "video_mask": ("mask_path", "video_mask"),
    "audio_mask": ("audio_mask",),
}
_KNOWN = {*CLIP_COLUMNS, "caption", *(name for names in FILE_COLUMNS.values() for name in names)}
_SAYING = re.compile(
    r"""\b(?:speaking|speaks)\s+(?P<language>\w+)[^:]*?saying:?\s*["'“‘«](?P<text>.*)["'”’»]""",
    re.DOTALL | re.IGNORECASE,
)


def read(root: Path, options: ReadOptions | None = None, report: Progress | None = None) -> ImportResult:
    """Read the table ``root``, or the one table in the folder ``root`` (or the one that ``options.table`` names)."""
    return read_table(root, options or ReadOptions(), report, licence=None)


def read_table(root: Path, options: ReadOptions, report: Progress | None, *, licence: str | None) -> ImportResult:
    """Read a table whose clips are under ``licence``."""
    table = find_table(Path(root), options.table)
    media_root = options.media_root(table.parent)
    listing = Listing()
    for number, record in enumerate(records(table), 1):
        _list_record(listing, media_root, record, f"{table.name}:{number}", licence)
    return gather(media_root, listing, options, report)


def find_table(root: Path, named: Path | None) -> Path:
    """The table meant by a folder or file.

    Raises:
        BadInput: ``corpora.ltx_no_table`` when there is none, ``corpora.ltx_which_table`` when there are several.
    """
    if named is not None:
        return Path(root) / named
    if root.is_file():
        return root
    tables = sorted(path for suffix in ("csv", "json", "jsonl") for path in root.glob(f"*.{suffix}"))
    if len(tables) != 1:
        code, what = (
            ("corpora.ltx_which_table", "several tables")
            if tables
            else ("corpora.ltx_no_table", "no .csv, .json or .jsonl")
        )
        raise BadInput(code, f"{root} has {what}.", "Name the one you mean with --table.")
    return tables[0]


def records(table: Path) -> list[Any]:
    """Rows of a CSV, JSON (a list of objects) or JSONL table.

    Raises:
        BadInput: ``corpora.ltx_bad_table``, ``corpora.bad_json``, and as ``read_text``.
    """
    kind = table.suffix.lower()
    try:
        if kind == ".csv":
            return list(csv.DictReader(io.StringIO(read_text(table))))
        if kind == ".jsonl":
            return [json.loads(line) for _, line in read_lines(table)]
    except (ValueError, RecursionError, csv.Error) as error:
        raise BadInput("corpora.ltx_bad_table", f"{table} cannot be read: {error}.", "Repair the table.") from error
    content = read_json(table)
    if not isinstance(content, list):
        raise BadInput(
            "corpora.ltx_bad_table", f"{table} is not a list of objects.", "Give a CSV, JSON or JSONL table."
        )
    return content


def _list_record(listing: Listing, media_root: Path, record: Any, where: str, licence: str | None) -> None:
    if not isinstance(record, dict):
        listing.broken(where, "corpora.ltx_bad_record", "It is not an object.")
        return
    try:
        named = _first(record, CLIP_COLUMNS)
        if named is None:
            raise BadInput("corpora.ltx_bad_record", f"It has none of the columns {', '.join(CLIP_COLUMNS)}.")
        path = inside(media_root, named)
        files = {role: _first(record, names) for role, names in FILE_COLUMNS.items()}
        extras = {role: inside(media_root, name) for role, name in files.items() if name is not None}
    except BadInput as error:
        listing.broken(where, error.code, error.headline)
        return
    item = f"{where} {path}"
    if path.lower().endswith(IMAGE_SUFFIXES):
        listing.left_out(item, "corpora.ltx_image", "A still image is no clip.")
        return
    caption = str(record.get("caption") or "") or None
    language, transcript = said(caption)
    listing.clips.append(
        Listed(
            item=item,
            id=clip_id(PurePosixPath(path).with_suffix("").as_posix()),
            path=path,
            extras=extras,
            transcript=transcript,
            language=language,
            licence=licence,
            source={"caption": caption, **{key: value for key, value in record.items() if key not in _KNOWN}},
        )
    )


def said(caption: str | None) -> tuple[str | None, str | None]:
    """Language code and words of *[Somebody] is speaking [language], saying: "[words]"*; None where it says neither."""
    match = _SAYING.search(caption or "")
    if match is None:
        return None, None
    return language_code(match["language"]), match["text"].strip() or None


def _first(record: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The value under the first of ``names`` that holds one.

    Raises:
        BadInput: ``corpora.ltx_bad_record`` when two of them hold different values, or one is no text.
    """
    values = {name: record[name] for name in names if record.get(name)}
    if any(not isinstance(value, str) for value in values.values()):
        raise BadInput("corpora.ltx_bad_record", f"{', '.join(values)} must hold a path.")
    if len(set(values.values())) > 1:
        raise BadInput("corpora.ltx_bad_record", f"{' and '.join(values)} name different files.")
    return next(iter(values.values()), None)
