"""Restores a backup into empty places, and proves that what is there now is what was copied.

Everything is looked at before anything is changed: the manifest, every byte that it names, and that the targets are
empty or hold the very same already. Files come first and databases after them, the other way round than in a backup:
a service that is up already sees no row whose file is missing. One that was killed is run again and goes on.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.errors import BadInput, WrongUse
from dubflow.platform.backup import databases
from dubflow.platform.backup.creating import files_of
from dubflow.platform.backup.manifest import BackupManifest, Champion, StoredDatabase, StoredTree, blob_key, damaged
from dubflow.platform.backup.settings import Part, Source, Sources
from dubflow.progress import Progress
from dubflow.storage import Objects

_CHUNK = 4 << 20


@dataclass(frozen=True)
class Restored:
    """What was brought back.

    Attributes:
        files, bytes: that were written; those that were there already are not counted.
        moved: places in MLflow's tables that name the new address of the files.
        skipped: databases that held the very same already.
    """

    backup: str
    files: int
    bytes: int
    moved: int
    skipped: tuple[str, ...]
    models: tuple[Champion, ...]
    jobs: dict[str, int]
    seconds: float


def verify_backup(store: Objects, made: BackupManifest, progress: Progress | None = None) -> int:
    """Read every byte that a backup names and hold it to its digest; how many bytes.

    Raises:
        BadInput: ``platform.backup_damaged``, naming the first file that is missing or is another.
    """
    wanted = {one.file: (one.sha256, one.file) for one in made.databases}
    for tree in made.trees:
        wanted |= {blob_key(one.sha256): (one.sha256, f"{tree.name}/{one.path}") for one in tree.files}
    if progress is not None:
        progress.expect(len(wanted))
    total = 0
    for key, (sha256, told) in wanted.items():
        if store.find(key) is None:
            raise damaged(made.id, f"{told} is missing ({key})")
        digest = hashlib.sha256()
        with store.asked("read"), store.files.open_input_stream(store.at(key)) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                total += len(chunk)
        if digest.hexdigest() != sha256:
            raise damaged(made.id, f"{told} has other bytes than were written ({key})")
        if progress is not None:
            progress.advance()
    return total


def restore_backup(
    store: Objects,
    made: BackupManifest,
    targets: Sources,
    parts: tuple[Part, ...],
    progress: Progress | None = None,
) -> Restored:
    """Bring the ``parts`` of a backup to where the settings point now.

    Where the registry's files come to another address than they had, MLflow's tables are told.

    Raises:
        BadInput: ``platform.backup_damaged``; ``platform.backup_lacks`` for a part that it has not;
            ``platform.restored_otherwise`` where a database afterwards does not hold what was copied.
        WrongUse: ``platform.target_not_empty``, ``platform.no_postgres_programs``.
        OurFault: ``platform.dump_failed``, ``storage.failed``.
    """
    began = time.monotonic()
    pairs = _database_pairs(made, targets, parts)
    trees = _tree_pairs(made, targets, parts)
    verify_backup(store, made, progress)
    skipped = tuple(one.name for one, target in pairs if _holds(one, target))
    todo = [(tree, target, _missing(tree, target)) for tree, target in trees]
    files, size = _bring_files(store, made, todo)
    moved = 0
    with tempfile.TemporaryDirectory(prefix="dubflow-restore-") as room:
        for one, target in pairs:
            if one.name in skipped:
                continue
            file = Path(room) / Path(one.file).name
            store.get(one.file, file, one.sha256)
            databases.load(target.address, file)
            file.unlink()
    for one, target in pairs:
        found = databases.facts_of(target.address)
        if found != one.facts:
            raise BadInput(
                "platform.restored_otherwise",
                f"{databases.shown(target.address)} does not hold what was copied of {one.name}.",
                "Somebody writes there already, or the restore was of another database. Empty it and restore again.",
            )
    for tree, target in trees:
        uri = target.address.partition("?")[0]
        if "registry" in tree.parts and uri.rstrip("/") != tree.uri.rstrip("/"):
            moved += sum(
                databases.move(database.address, tree.uri, uri) for _, database in pairs if "registry" in database.parts
            )
    return Restored(
        backup=made.id,
        files=files,
        bytes=size,
        moved=moved,
        skipped=skipped,
        models=tuple(model for one, _ in pairs for model in one.facts.models),
        jobs=next((one.facts.jobs for one, _ in pairs if one.facts.jobs), {}),
        seconds=round(time.monotonic() - began, 3),
    )


def _database_pairs(
    made: BackupManifest, targets: Sources, parts: tuple[Part, ...]
) -> list[tuple[StoredDatabase, Source]]:
    pairs = []
    for target in targets.databases:
        if not {*target.parts} & {*parts}:
            continue
        one = next((one for one in made.databases if one.name == target.name), None)
        if one is None:
            raise _lacks(made, target.name)
        if one.kind != databases.kind_of(target.address):
            raise WrongUse(
                "platform.other_kind_of_database",
                f"{one.name} was copied from {one.kind}; {databases.shown(target.address)} is another kind.",
                "Restore it into a database of the kind that it came from.",
            )
        pairs.append((one, target))
    return pairs


def _tree_pairs(made: BackupManifest, targets: Sources, parts: tuple[Part, ...]) -> list[tuple[StoredTree, Source]]:
    pairs = []
    for target in targets.trees:
        if not {*target.parts} & {*parts}:
            continue
        tree = next((one for one in made.trees if one.name == target.name), None)
        if tree is None:
            raise _lacks(made, target.name)
        pairs.append((tree, target))
    return pairs


def _holds(one: StoredDatabase, target: Source) -> bool:
    """Whether a target holds the very same already; one that holds anything else is refused."""
    found = databases.facts_of(target.address)
    if found is None:
        return False
    if found == one.facts:
        return True
    raise WrongUse(
        "platform.target_not_empty",
        f"{databases.shown(target.address)} is not empty ({sum(found.rows.values())} rows), and not that backup.",
        "A restore overwrites nothing: name an empty database, or move this one away.",
    )


def _missing(tree: StoredTree, target: Source) -> Sequence[int]:
    """Numbers of the files that are to be written; another file in the place of one is refused."""
    storage = Objects(target.address)
    there = set(files_of(storage))
    wanted = []
    for number, one in enumerate(tree.files):
        if one.path not in there:
            wanted.append(number)
        elif _digest(storage, one.path) != one.sha256:
            raise WrongUse(
                "platform.target_not_empty",
                f"{target.address} has another file {one.path} already.",
                "A restore overwrites nothing: name an empty place, or move this one away.",
            )
    return wanted


def _bring_files(
    store: Objects, made: BackupManifest, todo: Sequence[tuple[StoredTree, Source, Sequence[int]]]
) -> tuple[int, int]:
    files = size = 0
    with tempfile.TemporaryDirectory(prefix="dubflow-restore-") as room:
        for tree, target, missing in todo:
            storage = Objects(target.address)
            for one in (tree.files[number] for number in missing):
                here, local = storage.path(one.path), Path(room) / "file"
                try:
                    store.get(blob_key(one.sha256), here or local, one.sha256)
                except BadInput as error:  # changed since it was verified
                    raise damaged(made.id, f"{tree.name}/{one.path}: {error.headline}") from error
                if here is None:
                    storage.put(one.path, local)
                files, size = files + 1, size + one.bytes
    return files, size


def _digest(storage: Objects, key: str) -> str:
    digest = hashlib.sha256()
    with storage.asked("read"), storage.files.open_input_stream(storage.at(key)) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _lacks(made: BackupManifest, name: str) -> BadInput:
    return BadInput(
        "platform.backup_lacks",
        f"The backup {made.id} has no {name}; it has {', '.join(one.name for one in made.databases)}.",
        "It was made of other parts, or where databases were laid out otherwise.",
    )
