"""Old backups go, and with them the bytes that no other backup names.

A backup's manifest goes first, so that it is none before anything of it is missing. Bytes that are younger than a day
stay whatever names them: somebody may be making a backup that will.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from dubflow.errors import WrongUse
from dubflow.platform.backup.manifest import BLOBS, ROOT, backups, blob_key, manifest_key, read_backup
from dubflow.storage import Objects

YOUNG_S = 24 * 3600.0


@dataclass(frozen=True)
class Pruned:
    """Which backups went, and how many objects and bytes with them."""

    backups: tuple[str, ...]
    objects: int
    bytes: int


def prune_backups(store: Objects, keep: int, *, dry_run: bool = False, now_s: float | None = None) -> Pruned:
    """Remove all but the ``keep`` newest backups, and what was left by interrupted ones.

    Args:
        dry_run: only say what would go.

    Raises:
        WrongUse: ``platform.keeps_no_backup``. BadInput: ``platform.backup_damaged`` where the manifest of one that
            stays does not read: then nobody knows what it needs, and nothing is removed.
    """
    if keep < 1:
        raise WrongUse("platform.keeps_no_backup", "At least one backup has to stay.", "Give --keep 1 or more.")
    young = (time.time() if now_s is None else now_s) - YOUNG_S
    known = backups(store)
    stays = known[-keep:]
    kept = [read_backup(store, one) for one in stays]
    needed = {blob_key(one.sha256) for made in kept for tree in made.trees for one in tree.files}
    old = known[:-keep]
    gone = [one for one in store.listing(BLOBS) if one.key not in needed and one.modified_s < young]
    gone += [
        one
        for one in store.listing(ROOT)
        if one.key.split("/")[1] not in stays and (one.key.split("/")[1] in old or one.modified_s < young)
    ]
    if not dry_run:
        for one in old:
            store.remove(manifest_key(one))
        for left in gone:
            store.remove(left.key)
    return Pruned(tuple(old), len(gone), sum(one.bytes for one in gone))
