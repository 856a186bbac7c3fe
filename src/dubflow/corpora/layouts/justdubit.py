"""JUST-DUB-IT's training pairs: ``dataset.json`` of ``justdubit/audiovisual_translation_dub``.

A list of objects with ``caption``, ``media_path`` (the dubbed target), ``reference_path`` (the source clip) and, where
face masks are used, ``mask_path``, relative to the file (just-dub-it, ``packages/ltx-trainer/README.md``). The clips
are outputs of LTX-2 and stay under its community licence.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dubflow.corpora.layouts.ltx import read_table
from dubflow.corpora.listing import ReadOptions
from dubflow.corpora.result import ImportResult
from dubflow.progress import Progress

LICENCE = "LTX-2 Community License"


def read(root: Path, options: ReadOptions | None = None, report: Progress | None = None) -> ImportResult:
    """Read ``dataset.json`` of the folder ``root`` (or the file ``root``)."""
    options = options or ReadOptions()
    if options.table is None and Path(root).is_dir():
        options = replace(options, table=Path("dataset.json"))
    return read_table(root, options, report, licence=LICENCE)
