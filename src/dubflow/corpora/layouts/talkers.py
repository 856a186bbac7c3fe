"""Our own corpora (``dubflow talkers render``, or an earlier import): the manifest is taken, the files are checked."""

from __future__ import annotations

from pathlib import Path

from dubflow.corpora.gather import gather
from dubflow.corpora.listing import Listed, Listing, ReadOptions
from dubflow.corpora.manifest import ClipRow, read_manifest
from dubflow.corpora.result import ImportResult
from dubflow.progress import Progress

_SAME_NAME = (
    "transcript", "language", "speaker", "licence", "split", "words", "phones", "stresses", "segments", "events",
    "tags", "sha256",
)  # fmt: skip


def read(root: Path, options: ReadOptions | None = None, report: Progress | None = None) -> ImportResult:
    """Read a corpus folder; a file whose bytes changed since is broken."""
    listing = Listing([_listed(row) for row in read_manifest(Path(root))])
    return gather(Path(root), listing, options or ReadOptions(), report)


def _listed(row: ClipRow) -> Listed:
    source = {key: value for key, value in row.source.items() if key != "files"}
    extras = {role: str(file["path"]) for role, file in row.source.get("files", {}).items()}
    known = {name: getattr(row, name) for name in _SAME_NAME}
    return Listed(item=row.id, id=row.id, path=row.path, source=source, extras=extras, **known)
