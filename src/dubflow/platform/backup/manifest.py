"""What a backup holds: ``backups/ID/manifest.json``, written last, and files by their digest in ``blobs``.

======================================== ========================================================================
``backups/ID/manifest.json``             :class:`BackupManifest`; without it there is no backup of that id
``backups/ID/NAME.sqlite`` or ``.dump``  a database, as SQLite's backup or ``pg_dump --format=custom`` writes it
``blobs/ab/abcdef…``                     the bytes of files, once for all backups
======================================== ========================================================================
"""

from __future__ import annotations

import json
import re
from typing import Literal

from pydantic import Field, ValidationError

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.judging.card.rows import Digest
from dubflow.platform.backup.settings import Part
from dubflow.storage import Objects

FORMAT: Literal["dubflow.backup/1"] = "dubflow.backup/1"
ROOT, BLOBS, MANIFEST = "backups", "blobs", "manifest.json"
ID = re.compile(r"[0-9]{8}T[0-9]{9}Z")
Kind = Literal["sqlite", "postgresql"]


class Champion(Strict):
    """Where the history of a model ends."""

    model: str
    number: int = Field(description="Of the last entry.")
    digest: Digest = Field(description="Of the last entry, and so of the history.")
    champion: int | None
    package: Digest | None = Field(description="Of the champion.")


class DatabaseFacts(Strict):
    """What is in a database, read in the very transaction that was dumped."""

    rows: dict[str, int] = Field(description="Of each table.")
    models: tuple[Champion, ...] = ()
    jobs: dict[str, int] = Field(default_factory=dict, description="By state.")


class StoredDatabase(Strict):
    """One database."""

    name: str
    parts: tuple[Part, ...]
    kind: Kind
    shown: str = Field(description="Its URL without a password.")
    file: str = Field(description="Key of the dump.")
    sha256: Digest
    bytes: int
    facts: DatabaseFacts


class StoredFile(Strict):
    """One file of a tree."""

    path: str
    sha256: Digest
    bytes: int


class StoredTree(Strict):
    """One tree of files."""

    name: str
    parts: tuple[Part, ...]
    uri: str = Field(description="Where it lay; databases may name it.")
    files: tuple[StoredFile, ...]
    vanished: tuple[str, ...] = Field((), description="Removed by their owner while they were copied.")


class BackupManifest(Strict):
    """A backup."""

    format: Literal["dubflow.backup/1"] = FORMAT
    id: str = Field(pattern=f"^{ID.pattern}$", description="When the first database was copied, UTC.")
    dubflow: str = Field(description="Version that wrote it.")
    parts: tuple[Part, ...]
    databases: tuple[StoredDatabase, ...]
    trees: tuple[StoredTree, ...]
    seconds: float = Field(ge=0, description="How long it took.")
    copied_bytes: int = Field(ge=0, description="Of files that no earlier backup had.")

    @property
    def bytes(self) -> int:
        """Of everything that a restore brings."""
        return sum(one.bytes for one in self.databases) + sum(one.bytes for tree in self.trees for one in tree.files)


def blob_key(sha256: str) -> str:
    """Where the bytes of a digest lie."""
    return f"{BLOBS}/{sha256[:2]}/{sha256}"


def manifest_key(backup: str) -> str:
    """Of a backup."""
    return f"{ROOT}/{backup}/{MANIFEST}"


def backups(store: Objects) -> list[str]:
    """Ids of all that are whole, oldest first."""
    found = [one.key.split("/") for one in store.listing(ROOT)]
    return sorted(parts[1] for parts in found if len(parts) == 3 and parts[2] == MANIFEST and ID.fullmatch(parts[1]))


def read_backup(store: Objects, backup: str) -> BackupManifest:
    """The manifest of a backup, or of the ``newest``.

    Raises:
        BadInput: ``platform.no_backup``, ``platform.backup_damaged``.
    """
    known = backups(store)
    chosen = known[-1] if backup == "newest" and known else backup
    if chosen not in known:
        raise BadInput(
            "platform.no_backup",
            f"{store.uri} has no backup {backup[:40]!r}.",
            f"It has: {', '.join(known[-5:]) or 'none'}. One that was interrupted is none: make another.",
        )
    with store.asked("read"), store.files.open_input_stream(store.at(manifest_key(chosen))) as stream:
        text = stream.read()
    try:
        return BackupManifest.model_validate(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise damaged(chosen, f"its manifest does not read ({str(error).splitlines()[0]})") from error


def damaged(backup: str, how: str) -> BadInput:
    """The refusal of a backup."""
    return BadInput(
        "platform.backup_damaged",
        f"The backup {backup} is damaged: {how}.",
        "Nothing was restored from it. Take an older one: dubflow backup list.",
    )
