"""The queue: who works on which job, so that each is done once, or again after its worker died, never lost or doubled.

Kept queue libraries were looked at first. huey's SQLite queue takes a task out of its table before it runs it: a worker
killed then has lost it. celery needs a broker for that (late acknowledgement) and then hands a task to a second worker
while the first still runs, with nothing that keeps the first from writing its result. procrastinate is Postgres alone,
and retries stalled jobs only when told to. None has turns between tenants, and none ends a job in the same transaction
as its webhook. What is needed fits into a table.

* A job is *leased*: its row gets the worker's name, an end of the lease and the next **fence**, a number that only
  grows. Whoever writes about the job says his fence; where it is no longer the row's, nothing is written. What a worker
  makes lies below its fence in the storage and becomes the job's by the transaction that ends it, all or nothing.
* A lease that was not renewed ends: the job waits again, and counts an attempt more. After ``attempts`` of them it has
  failed: a clip that kills workers must not kill all of them for ever. Clocks may differ by less than the lease without
  harm; if they differ by more, work is done twice, and still counts once.
* A lease is taken away only when it was seen to be over twice, ``grace_s`` apart, by writers: while the database is
  locked nobody can renew, so when it is free again the workers come first.
* Tenants take turns: next is one with the fewest running jobs, of these the one whose turn is longest ago; of its jobs
  the oldest.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import and_, func, or_, select, update

from dubflow.errors import DubflowError, OurFault
from dubflow.gateway.database import WORKER_PATIENCE_S, Database
from dubflow.gateway.jobs.job import Job
from dubflow.gateway.jobs.rows import DOOM_DELAY_MS, doom, end, error_text, job_of, output_prefix
from dubflow.gateway.jobs.store import pace
from dubflow.gateway.tables import JOBS, TURNS

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

Ending = Literal["done", "failed", "cancelled", "again", "lost"]
"""What became of a job that a worker is through with: *again* waits for another try, *lost* is another worker's."""

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0


@dataclass(frozen=True)
class Lease:
    """A job to do now, and the number under which to write about it."""

    job: Job
    fence: int
    clip_s: float | None
    pace: float | None  # seconds of work a second of clip, of the last finished jobs

    @property
    def prefix(self) -> str:
        """Where in the storage its outputs go."""
        return output_prefix(self.job.id, self.fence)


@dataclass(frozen=True)
class Beat:
    """What a worker hears about its job: whether it still is its own, and whether its end was asked for."""

    held: bool
    cancelled: bool


class JobQueue:
    """The side of the jobs that workers see.

    Args:
        lease_s: a worker that is silent for so long has lost its job. attempts: of a job at the most.
        tenant_running: jobs of one tenant at once; None for no limit. grace_s: see above; 3 s at the most without.

    Every method raises ``gateway.database_busy`` after two minutes, and ``gateway.database_failed``.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_s: float = 30.0,
        attempts: int = 3,
        tenant_running: int | None = None,
        grace_s: float | None = None,
    ) -> None:
        self.database = database
        self.lease_s, self.attempts, self.tenant_running = lease_s, attempts, tenant_running
        self.grace_s = min(3.0, lease_s / 3) if grace_s is None else grace_s
        self._over: dict[tuple[str, int, int], int] = {}

    def lease(self, worker: str) -> Lease | None:
        """The next job for a worker, or None when there is nothing to do."""
        if not self.anything():
            self._over = {}
            return None

        def work(connection: Connection) -> Lease | None:
            now = self.database.now_ms()
            self._take_back(connection, now)
            row = self._next(connection, now)
            if row is None:
                return None
            fence = row["fence"] + 1
            changed = connection.execute(
                update(JOBS)
                .where(JOBS.c.id == row["id"], JOBS.c.state == "queued", JOBS.c.fence == row["fence"])
                .values(
                    state="running",
                    stage="waiting",
                    percent=0.0,
                    estimate_s=None,
                    fence=fence,
                    attempts=JOBS.c.attempts + 1,
                    worker=worker,
                    lease_until_ms=now + round(1000 * self.lease_s),
                    started_ms=func.coalesce(JOBS.c.started_ms, now),
                    revision=JOBS.c.revision + 1,
                )
            )
            if changed.rowcount != 1:
                return None
            self._turn(connection, row["tenant"], now)
            taken = connection.execute(select(JOBS).where(JOBS.c.id == row["id"])).mappings().one()
            return Lease(job_of(taken), fence, taken["clip_s"], pace(connection))

        return self.database.write(work, patience_s=WORKER_PATIENCE_S)

    def beat(self, lease: Lease, *, patience_s: float = WORKER_PATIENCE_S) -> Beat:
        """Renew a lease; hear whether the job's end was asked for."""
        return self._renew(lease, patience_s, {})

    def report(
        self,
        lease: Lease,
        stage: str,
        percent: float,
        estimate_s: float | None,
        *,
        patience_s: float = WORKER_PATIENCE_S,
    ) -> Beat:
        """Say how far the job is; renews the lease as well."""
        values = {"stage": stage, "percent": min(100.0, max(0.0, percent)), "estimate_s": estimate_s}
        return self._renew(lease, patience_s, {**values, "revision": JOBS.c.revision + 1})

    def listen(self, lease: Lease, *, patience_s: float = 0.5) -> Beat:
        """Like :meth:`beat` without renewing: reads alone, so it may be asked several times a second."""

        def work(connection: Connection) -> Beat:
            row = connection.execute(select(JOBS.c.cancel_asked).where(*_held(lease))).first()
            return Beat(row is not None, bool(row and row[0]))

        return self.database.read(work, patience_s=patience_s)

    def finish(
        self,
        lease: Lease,
        result: dict[str, Any],
        *,
        engine: str,
        served_version: int | None,
        clip_s: float,
        work_s: float,
    ) -> Ending:
        """End a job well: *done*, *cancelled* when its end had been asked for, or *lost*. Said twice, it holds once."""
        text = json.dumps(result, sort_keys=True, ensure_ascii=False, allow_nan=False)
        facts = {"engine": engine, "served_version": served_version, "clip_s": clip_s, "work_s": work_s}

        def work(connection: Connection, row: RowMapping, now: int) -> Ending:
            return "done" if end(connection, row, "done", now, result=text, **facts) else "lost"

        return self._leave(lease, work)

    def fail(self, lease: Lease, error: DubflowError) -> Ending:
        """End a try with an error: another try after a pause when it was our fault, else *failed*."""

        def work(connection: Connection, row: RowMapping, now: int) -> Ending:
            if error.retryable and row["attempts"] < self.attempts:
                pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 4 ** (row["attempts"] - 1))
                due = now + round(1000 * pause * random.uniform(0.75, 1.25))  # noqa: S311
                return "again" if _wait_again(connection, row, due, now) else "lost"
            return "failed" if end(connection, row, "failed", now, error=error_text(error)) else "lost"

        return self._leave(lease, work)

    def give_back(self, lease: Lease) -> Ending:
        """Let another worker do a job that was begun; the try does not count."""

        def work(connection: Connection, row: RowMapping, now: int) -> Ending:
            return "again" if _wait_again(connection, row, now, now, attempts=row["attempts"] - 1) else "lost"

        return self._leave(lease, work)

    def take_back(self) -> None:
        """End leases that are over, as :meth:`lease` does on its way; for times when nobody asks for jobs."""
        if self.anything():
            self.database.write(
                lambda connection: self._take_back(connection, self.database.now_ms()), patience_s=WORKER_PATIENCE_S
            )

    def anything(self) -> bool:
        """Whether a transaction may be worth it: a look that makes nobody wait."""
        now = self.database.now_ms()
        due = and_(JOBS.c.state == "queued", JOBS.c.due_ms <= now)
        over = and_(JOBS.c.state == "running", JOBS.c.lease_until_ms < now)
        query = select(JOBS.c.id).where(or_(due, over)).limit(1)
        return self.database.read(lambda connection: connection.execute(query).first() is not None)

    def _take_back(self, connection: Connection, now: int) -> None:
        over = select(JOBS).where(JOBS.c.state == "running", JOBS.c.lease_until_ms < now)
        rows = connection.execute(over.with_for_update(skip_locked=True)).mappings().all()
        # By the end of the lease as well: one that was renewed and is over again is another.
        seen = [(row["id"], row["fence"], row["lease_until_ms"]) for row in rows]
        over_since = {lease: self._over.get(lease, now) for lease in seen}
        self._over = over_since  # whole: a worker and its housekeeping look at the same time
        for row, lease in zip(rows, seen, strict=True):
            if now - over_since[lease] < 1000 * self.grace_s:
                continue
            if row["cancel_asked"]:
                end(connection, row, "cancelled", now)
            elif row["attempts"] >= self.attempts:
                end(connection, row, "failed", now, error=error_text(_poisoned(row["attempts"])))
            else:
                _wait_again(connection, row, now, now)

    def _next(self, connection: Connection, now: int) -> RowMapping | None:
        due = and_(JOBS.c.state == "queued", JOBS.c.due_ms <= now)
        busy = select(JOBS.c.tenant, func.count()).where(JOBS.c.state == "running").group_by(JOBS.c.tenant)
        running: dict[str, int] = {str(row[0]): int(row[1]) for row in connection.execute(busy)}
        waiting = connection.execute(
            select(JOBS.c.tenant, func.coalesce(func.max(TURNS.c.last_ms), 0), func.min(JOBS.c.id))
            .select_from(JOBS.outerjoin(TURNS, TURNS.c.tenant == JOBS.c.tenant))
            .where(due)
            .group_by(JOBS.c.tenant)
        ).all()
        for tenant, _last, _oldest in sorted(waiting, key=lambda one: (running.get(one[0], 0), one[1], one[2])):
            if self.tenant_running is not None and running.get(tenant, 0) >= self.tenant_running:
                continue
            oldest = select(JOBS).where(due, JOBS.c.tenant == tenant).order_by(JOBS.c.id).limit(1)
            row = connection.execute(oldest.with_for_update(skip_locked=True)).mappings().first()
            if row is not None:
                return row
        return None

    def _turn(self, connection: Connection, tenant: str, now: int) -> None:
        # Later than every other's, also within one millisecond: turns are an order, not a time.
        last = connection.execute(select(func.max(TURNS.c.last_ms))).scalar() or 0
        turn = max(now, last + 1)
        if connection.execute(update(TURNS).where(TURNS.c.tenant == tenant).values(last_ms=turn)).rowcount == 0:
            connection.execute(_insert_turn(connection.dialect.name), {"tenant": tenant, "last_ms": turn})

    def _renew(self, lease: Lease, patience_s: float, values: dict[str, Any]) -> Beat:
        def work(connection: Connection) -> Beat:
            until = self.database.now_ms() + round(1000 * self.lease_s)
            changed = connection.execute(update(JOBS).where(*_held(lease)).values(lease_until_ms=until, **values))
            if changed.rowcount != 1:
                return Beat(held=False, cancelled=False)
            asked = connection.execute(select(JOBS.c.cancel_asked).where(JOBS.c.id == lease.job.id)).scalar_one()
            return Beat(held=True, cancelled=bool(asked))

        return self.database.write(work, patience_s=patience_s)

    def _leave(self, lease: Lease, work: Callable[[Connection, RowMapping, int], Ending]) -> Ending:
        """End a lease by ``work``, unless it was lost or ended before, or the job's end had been asked for."""

        def leaving(connection: Connection) -> Ending:
            row = self._row(connection, lease)
            if row is None:
                return "lost"
            if row["state"] != "running":
                return _already(row["state"])
            now = self.database.now_ms()
            if row["cancel_asked"]:
                return "cancelled" if end(connection, row, "cancelled", now) else "lost"
            return work(connection, row, now)

        return self.database.write(leaving, patience_s=WORKER_PATIENCE_S)

    def _row(self, connection: Connection, lease: Lease) -> RowMapping | None:
        """The job's row, if this lease was its last."""
        query = select(JOBS).where(JOBS.c.id == lease.job.id, JOBS.c.fence == lease.fence).with_for_update()
        return connection.execute(query).mappings().first()


def _already(state: str) -> Ending:
    """What became of a job that this lease has left before: the answer to an earlier try was lost."""
    endings: dict[str, Ending] = {"queued": "again", "done": "done", "expired": "done", "failed": "failed"}
    return endings.get(state, "cancelled")


def _held(lease: Lease) -> tuple[Any, ...]:
    return JOBS.c.id == lease.job.id, JOBS.c.fence == lease.fence, JOBS.c.state == "running"


def _wait_again(connection: Connection, row: RowMapping, due: int, now: int, **values: Any) -> bool:
    changed = connection.execute(
        update(JOBS)
        .where(JOBS.c.id == row["id"], JOBS.c.fence == row["fence"], JOBS.c.state == "running")
        .values(
            state="queued",
            stage="waiting",
            percent=0.0,
            estimate_s=None,
            due_ms=due,
            lease_until_ms=None,
            worker=None,
            revision=JOBS.c.revision + 1,
            **values,
        )
    )
    if changed.rowcount != 1:
        return False
    doom(connection, output_prefix(row["id"], row["fence"]), now + DOOM_DELAY_MS)
    return True


def _poisoned(attempts: int) -> OurFault:
    return OurFault(
        "gateway.job_poisoned",
        f"{attempts} workers in a row ended while they did this job.",
        "See the workers' logs; try with another clip.",
    )


def _insert_turn(dialect: str) -> Any:
    """Two workers may give a tenant its first turn at once, in Postgres."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(TURNS).on_conflict_do_nothing(index_elements=["tenant"])
