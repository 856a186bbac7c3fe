"""Pairs as JUST-DUB-IT's ``dataset.json``: a table with clips beside it, which LTX trainers and we read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from dubflow.atomic import atomic_dir, write_json
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.pairs.manifest import PairFile, PairManifest, PairRow

TABLE = "dataset.json"


def export_dataset(pairs: PairManifest, out: Path) -> int:
    """Write the accepted pairs as ``dataset.json`` and ``clips/`` into the folder ``out``, which appears whole.

    ``media_path`` is the target, ``reference_path`` the context, ``mask_path`` the mask of the face. Figures, reasons
    and lineage have no place there; our own manifest keeps them.

    Returns:
        How many pairs.

    Raises:
        BadInput: ``incontext.nothing_to_export``. WrongUse: ``incontext.folder_exists``.
    """
    accepted = accepted_pairs(pairs, out)
    with atomic_dir(Path(out)) as part:
        write_json(part / TABLE, [_record(pairs, row, part) for row in accepted])
    return len(accepted)


def accepted_pairs(pairs: PairManifest, out: Path) -> tuple[PairRow, ...]:
    """The pairs to export into ``out``, which must not exist.

    Raises:
        BadInput: ``incontext.nothing_to_export``. WrongUse: ``incontext.folder_exists``.
    """
    if Path(out).exists():
        raise WrongUse("incontext.folder_exists", f"{out} exists.", "Name a folder that does not exist yet.")
    if not pairs.accepted:
        raise BadInput(
            "incontext.nothing_to_export",
            f"All {len(pairs)} pairs were rejected.",
            "Look at the reasons in pairs.jsonl.",
        )
    return pairs.accepted


def _record(pairs: PairManifest, row: PairRow, folder: Path) -> dict[str, Any]:
    named = {
        "media_path": row.target,
        "reference_path": row.context,
        "mask_path": row.mask,
        "audio": row.target_audio,
        "reference_audio": row.context_audio,
    }
    files = {column: _placed(pairs, row, column, file, folder) for column, file in named.items() if file is not None}
    return {"caption": row.prompt, **files}


def _placed(pairs: PairManifest, row: PairRow, column: str, file: PairFile, folder: Path) -> str:
    source = pairs.path(file)
    name = f"clips/{row.id}/{column.removesuffix('_path')}{source.suffix}"
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    # Clips are never changed in place, so two names of one file are safe.
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
    return name
