"""Pairs from the tables of LTX trainers: CSV, JSON or JSONL, JUST-DUB-IT's ``dataset.json`` among them.

Columns as :mod:`dubflow.corpora.layouts.ltx` knows them; the clip is the target and the reference is the context. Files
are digested as they are read, so that what is cached hangs on their content.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from dubflow.corpora.layouts import justdubit, ltx
from dubflow.corpora.listing import ReadOptions, clip_id, inside
from dubflow.errors import BadInput
from dubflow.incontext.pairs.manifest import HEADER, PairFile, PairHeader, PairManifest, PairRow, read_pairs
from dubflow.media.digest import sha256_file


def pairs_of(root: Path, table: Path | None = None) -> PairManifest:
    """The pairs that ``root`` holds: a folder of ours, a table, or the folder of one table.

    Raises:
        BadInput: as :func:`read_pairs` and :func:`read_table`.
    """
    root = Path(root)
    if root.is_dir() and (root / HEADER).is_file() and table is None:
        return read_pairs(root)
    if root.is_dir() and table is None and (root / "dataset.json").is_file():
        return read_table(root, Path("dataset.json"), licence=justdubit.LICENCE)
    return read_table(root, table)


def read_table(root: Path, table: Path | None = None, *, licence: str | None = None) -> PairManifest:
    """The pairs of a table; files lie relative to it. Rows without a reference or with a missing file are rejected.

    Raises:
        BadInput: ``corpora.ltx_no_table`` and the others of the table's reader; ``incontext.bad_pairs`` for a table
            without a single pair.
    """
    found = ltx.find_table(Path(root), table)
    if not found.is_file():
        raise BadInput("incontext.no_pairs", f"{found} is not there.", "Name a folder of pairs or a table.")
    folder = ReadOptions().media_root(found.parent)
    rows = [_row(folder, record, number) for number, record in enumerate(ltx.records(found), 1)]
    if not rows:
        raise BadInput("incontext.bad_pairs", f"{found} lists no pair.", "Give a table with rows.")
    header = PairHeader(name=found.stem, world="real", licence=licence, made_with={"table": found.name})
    return PairManifest(header, rows, folder)


def _row(folder: Path, record: Any, number: int) -> PairRow:
    where = f"row {number}"
    if not isinstance(record, dict):
        raise BadInput("incontext.bad_pairs", f"{where} of the table is not an object.", "Repair the table.")
    columns = {"target": ltx.CLIP_COLUMNS, **ltx.FILE_COLUMNS}
    named = {role: _named(record, names, where) for role, names in columns.items()}
    if named["target"] is None:
        raise BadInput("incontext.bad_pairs", f"{where} names no clip.", f"Columns: {', '.join(ltx.CLIP_COLUMNS)}.")
    reasons = [] if named["reference_video"] else ["no reference"]
    files: dict[str, PairFile | None] = {}
    for role, name in named.items():
        files[role] = None
        if name is not None:
            path = inside(folder, name)
            if (folder / path).is_file():
                files[role] = PairFile(path=path, sha256=sha256_file(folder / path))
            else:
                reasons.append(f"{path} is missing")
    caption = str(record.get("caption") or "")
    language, _ = ltx.said(caption)
    absent = PairFile(path=PurePosixPath(inside(folder, named["target"])).as_posix(), sha256="0" * 64)
    return PairRow(
        id=f"{number:05d}-{clip_id(PurePosixPath(named['target']).stem)}",
        context=files["reference_video"] or absent,
        target=files["target"] or absent,
        context_audio=files["reference_audio"],
        target_audio=files["audio"],
        mask=files["video_mask"],
        prompt=caption,
        target_language=language,
        lineage={"row": number},
        rejected=tuple(reasons),
    )


def _named(record: dict[str, Any], names: tuple[str, ...], where: str) -> str | None:
    values = {name: record[name] for name in names if record.get(name)}
    if any(not isinstance(value, str) for value in values.values()) or len(set(values.values())) > 1:
        raise BadInput("incontext.bad_pairs", f"{where}: {' and '.join(values)} must name one file.", "Repair it.")
    return next(iter(values.values()), None)
