"""Makes a backup while everything runs.

Databases first, files after that: a file is stored before a row names it, and the bytes of a name never change, so
whatever a copied database names is there when the files are copied. What came meanwhile is copied without need, and
does no harm. The other order would lose files that the database already names. Only what its owner removes in between
(clips whose time is over) can be missing; those are written down by name.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from dubflow import __version__
from dubflow.atomic import PARTIAL
from dubflow.errors import BadInput, OurFault
from dubflow.media.digest import sha256_file
from dubflow.platform.backup import databases
from dubflow.platform.backup.manifest import (
    ROOT,
    BackupManifest,
    StoredDatabase,
    StoredFile,
    StoredTree,
    blob_key,
    manifest_key,
)
from dubflow.platform.backup.settings import Part, Source, Sources
from dubflow.progress import Progress
from dubflow.storage import Objects

_TRIES = 3
_GONE = ("storage.object_missing", "media.missing")


def create_backup(
    store: Objects,
    found: Sources,
    parts: tuple[Part, ...],
    progress: Progress | None = None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> BackupManifest:
    """Copy databases and files into ``store``; bytes that an earlier backup has are not copied again.

    One that is interrupted is no backup; what it copied is used by the next.

    Raises:
        BadInput: ``platform.no_database``, ``platform.files_gone``. WrongUse: ``platform.no_postgres_programs``.
        OurFault: ``platform.dump_failed``, ``platform.files_change``, ``storage.failed``.
    """
    began, moment = time.monotonic(), clock()
    backup = f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z"
    with tempfile.TemporaryDirectory(prefix="dubflow-backup-") as room:
        stored = tuple(_database(store, backup, one, Path(room)) for one in found.databases)
        copied, trees = 0, []
        for source in found.trees:
            tree, new = _tree(store, source, Path(room), progress)
            trees.append(tree)
            copied += new
    made = BackupManifest(
        id=backup,
        dubflow=__version__,
        parts=parts,
        databases=stored,
        trees=tuple(trees),
        seconds=round(time.monotonic() - began, 3),
        copied_bytes=copied,
    )
    store.put(manifest_key(backup), (made.model_dump_json(indent=1) + "\n").encode())
    return made


def files_of(storage: Objects) -> list[str]:
    """Keys of all files below the storage's address, sorted."""
    from pyarrow.fs import FileSelector, FileType

    with storage.asked("listed"):
        chosen = FileSelector(storage.root, recursive=True, allow_not_found=True)
        found = [one.path for one in storage.files.get_file_info(chosen) if one.type == FileType.File]
    keys = (path[len(storage.root) :].lstrip("/") for path in found)
    return sorted(key for key in keys if PARTIAL not in key)


def _database(store: Objects, backup: str, source: Source, room: Path) -> StoredDatabase:
    kind = databases.kind_of(source.address)
    file = room / f"{source.name}.{'sqlite' if kind == 'sqlite' else 'dump'}"
    facts = databases.dump(source.address, file)
    key = f"{ROOT}/{backup}/{file.name}"
    put = store.put(key, file)
    return StoredDatabase(
        name=source.name, parts=source.parts, kind=kind, shown=databases.shown(source.address), file=key, facts=facts,
        **put,
    )  # fmt: skip


def _tree(store: Objects, source: Source, room: Path, progress: Progress | None) -> tuple[StoredTree, int]:
    storage = Objects(source.address)
    keys = files_of(storage)
    if progress is not None:
        progress.expect(len(keys))
    files, vanished, copied = [], [], 0
    for file, key, new in _copied(store, storage, keys, room):
        if file is None and not source.may_vanish:
            raise BadInput(
                "platform.files_gone",
                f"{key} of {source.address} went away while it was copied.",
                "Nobody may remove files of the registry meanwhile; make the backup again.",
            )
        if file is None:
            vanished.append(key)
        else:
            files.append(file)
            copied += new
        if progress is not None:
            progress.advance(cached=not new)
    uri = source.address.partition("?")[0]
    tree = StoredTree(name=source.name, parts=source.parts, uri=uri, files=tuple(files), vanished=tuple(vanished))
    return tree, copied


def _copied(
    store: Objects, storage: Objects, keys: list[str], room: Path
) -> Iterator[tuple[StoredFile | None, str, int]]:
    """Each file, in the store by its digest, and how many bytes were new there; None for one that is gone."""
    for key in keys:
        try:
            file, new = _copy(store, storage, key, room)
        except FileNotFoundError:
            yield None, key, 0
        except BadInput as error:
            if error.code not in _GONE:
                raise
            yield None, key, 0
        else:
            yield file, key, new


def _copy(store: Objects, storage: Objects, key: str, room: Path) -> tuple[StoredFile, int]:
    here = storage.path(key)
    for _ in range(_TRIES):
        local = here or room / "file"
        if here is None:
            storage.get(key, local)
        digest, size = sha256_file(local), local.stat().st_size
        file = StoredFile(path=key, sha256=digest, bytes=size)
        known = store.find(blob_key(digest))
        if known is not None and known.bytes == size:
            return file, 0
        if store.put(blob_key(digest), local)["sha256"] == digest:
            return file, size
        store.remove(blob_key(digest))  # it changed between two looks, and that name would lie
    raise OurFault(
        "platform.files_change", f"{key} of {storage.uri} does not stop changing.", "Make the backup when it is quiet."
    )
