"""Readers of public layouts, one a module, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from dubflow.corpora.layouts import chem, grid, hdtf, justdubit, libritts, ljspeech, ltx, talkers, talkvid
from dubflow.corpora.listing import ReadOptions
from dubflow.corpora.result import ImportResult
from dubflow.progress import Progress


class Reader(Protocol):
    """Reads a folder (or table) of one layout."""

    def __call__(
        self, root: Path, options: ReadOptions | None = None, report: Progress | None = None
    ) -> ImportResult: ...


LAYOUTS: Mapping[str, Reader] = {
    "chem": chem.read,
    "grid": grid.read,
    "hdtf": hdtf.read,
    "justdubit": justdubit.read,
    "libritts": libritts.read,
    "ljspeech": ljspeech.read,
    "ltx": ltx.read,
    "talkers": talkers.read,
    "talkvid": talkvid.read,
}
OPEN_WHAT_THEY_NAME = frozenset({"justdubit", "ltx", "talkers"})
"""Layouts that open only files they name; the others look through the whole folder of the media."""
