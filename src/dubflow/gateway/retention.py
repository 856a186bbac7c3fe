"""What is kept, and for how long: clips and results for days, figures for good, texts no longer than needed.

A job that ended so long ago loses its request (the texts, the webhook's address) and, in the same transaction, the
claim on its files; a `done` one is then `expired`. What lies in the storage is removed afterwards, from a list that the
same transaction wrote: a process that is killed in between leaves the list to the next. Jobs that wait or run, uploads
that they need, and jobs whose webhook is still being told are never touched.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, select, update

from dubflow.atomic import sweep
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.rows import doom, output_prefix
from dubflow.gateway.tables import DELIVERIES, DOOMED, JOBS
from dubflow.gateway.uploads import UploadStore
from dubflow.storage import Objects

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 100
_FORGOTTEN = "null"  # JSON: a job whose request is not known any more
_DAY_MS = 86_400_000


class Retention:
    """Removes what has had its time.

    Args:
        days: after a job's end, or after an upload was last named.

    :meth:`run` raises :class:`OurFault` ``gateway.database_busy``, ``gateway.database_failed`` or ``storage.failed``;
    what it had not come to then is done the next time.
    """

    def __init__(self, database: Database, objects: Objects, uploads: UploadStore, days: float) -> None:
        self.database, self.objects, self.uploads, self.days = database, objects, uploads, days

    def run(self) -> dict[str, int]:
        """Once through everything; how many jobs, uploads and folders of outputs went."""
        counts = {"jobs": self.expire(), "uploads": self.uploads.sweep(self.days * 86_400), "outputs": self.remove()}
        if self.objects.folder is not None and self.objects.folder.is_dir():
            sweep(self.objects.folder)  # halves of files, of writers that were killed
        return counts

    def expire(self) -> int:
        """Jobs that ended long enough ago: without texts and files from now on."""
        before = self.database.now_ms() - round(self.days * _DAY_MS)
        total = 0
        while done := self.database.write(lambda connection: self._expire(connection, before)):
            total += done
        return total

    def remove(self) -> int:
        """Outputs that are nobody's any more."""
        now, total = self.database.now_ms(), 0
        query = select(DOOMED.c.prefix).where(DOOMED.c.due_ms <= now).order_by(DOOMED.c.prefix).limit(_AT_ONCE)
        while prefixes := self.database.read(lambda connection: list(connection.execute(query).scalars())):
            for prefix in prefixes:
                self.objects.remove_below(prefix.rstrip("/"))
            # Forgotten only now: whoever dies before this removes them again, which does no harm.
            gone = delete(DOOMED).where(DOOMED.c.prefix.in_(prefixes))
            self.database.write(lambda connection, gone=gone: connection.execute(gone))  # type: ignore[misc]
            total += len(prefixes)
        return total

    def _expire(self, connection: Connection, before: int) -> int:
        old = JOBS.c.finished_ms < before
        unheard = exists().where(DELIVERIES.c.job_id == JOBS.c.id, DELIVERIES.c.state == "waiting")
        query = (
            select(JOBS)
            .where(JOBS.c.state.in_(("done", "failed", "cancelled")), old, ~unheard, JOBS.c.request != _FORGOTTEN)
            .limit(_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        rows = connection.execute(query).mappings().all()
        for row in rows:
            changes: dict[str, object] = {"request": _FORGOTTEN, "error": _without_texts(row["error"])}
            if row["state"] == "done":
                doom(connection, output_prefix(row["id"], row["fence"]), self.database.now_ms())
                result = {**json.loads(row["result"]), "files": {}, "notices": []}
                changes |= {"state": "expired", "result": json.dumps(result, sort_keys=True)}
            connection.execute(
                update(JOBS).where(JOBS.c.id == row["id"]).values(revision=JOBS.c.revision + 1, **changes)
            )
            connection.execute(delete(DELIVERIES).where(DELIVERIES.c.job_id == row["id"]))
        return len(rows)


def _without_texts(error: str | None) -> str | None:
    """An error's code stays; its message may quote what was asked."""
    if error is None:
        return None
    return json.dumps({"code": json.loads(error)["code"], "message": "", "hint": ""})
