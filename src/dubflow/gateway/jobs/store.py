"""Jobs as tenants see them: submitted, looked at, listed, cancelled, watched. Nobody sees another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, insert, or_, select, update

from dubflow.errors import BadInput, WrongUse
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.job import Counts, Job, JobEvent, JobState, Submitted, new_id
from dubflow.gateway.jobs.request import JobRequest
from dubflow.gateway.jobs.rows import end, job_of
from dubflow.gateway.tables import JOBS

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

_PACE_OF = 50
_UNKNOWN_CLIP_S = 10.0


class JobStore:
    """Jobs in a database whose tables are there (:func:`dubflow.gateway.tables.migrate`).

    Every method raises :class:`OurFault` ``gateway.database_busy`` or ``gateway.database_failed``.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def submit(
        self,
        tenant: str,
        request: JobRequest,
        *,
        key_id: str = "",
        idempotency: str | None = None,
        trace: str | None = None,
        clip_s: float | None = None,
    ) -> Submitted:
        """Take a job on, once for each idempotency key of a tenant.

        Args:
            clip_s: seconds of the clip, for estimates.

        Raises:
            WrongUse: ``gateway.idempotency_conflict`` when the key was used for another request.
        """
        from sqlalchemy.exc import IntegrityError

        now = self.database.now_ms()
        job_id, digest = new_id("dub", now), request.sha256()
        values = {
            "id": job_id,
            "tenant": tenant,
            "key_id": key_id,
            "state": "queued",
            "stage": "waiting",
            "percent": 0.0,
            "revision": 1,
            "created_ms": now,
            "due_ms": now,
            "attempts": 0,
            "fence": 0,
            "cancel_asked": False,
            "request": request.model_dump_json(),
            "request_sha256": digest,
            "clip_key": request.clip,
            "reference_key": request.reference_key,
            "idempotency": idempotency,
            "trace_id": trace,
            "clip_s": clip_s,
        }

        def work(connection: Connection) -> Submitted:
            same = [JOBS.c.id == job_id]  # there already, when the answer to an earlier try was lost
            if idempotency is not None:
                same.append(and_(JOBS.c.tenant == tenant, JOBS.c.idempotency == idempotency))
            row = connection.execute(select(JOBS).where(or_(*same))).mappings().first()
            if row is None:
                connection.execute(insert(JOBS).values(**values))
                row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).mappings().one()
            if row["request_sha256"] != digest:
                raise WrongUse(
                    "gateway.idempotency_conflict",
                    "This Idempotency-Key was used for another request.",
                    "Take a new key for a new request, and send the same request again with the same key.",
                )
            return Submitted(job_of(row), found=row["id"] != job_id)

        try:
            return self.database.write(work)
        except IntegrityError:  # somebody else's insert with this key came between our look and ours
            return self.database.write(work)

    def knows(self, tenant: str, idempotency: str) -> bool:
        """Whether a job was taken on with this idempotency key."""
        query = select(JOBS.c.id).where(JOBS.c.tenant == tenant, JOBS.c.idempotency == idempotency)
        return self.database.read(lambda connection: connection.execute(query).first() is not None)

    def get(self, tenant: str, job_id: str) -> Job:
        """A job; while it waits its estimate is of the queue before it.

        Raises:
            BadInput: ``gateway.no_such_job``, also for another tenant's.
        """

        def work(connection: Connection) -> Job:
            row = _row(connection, tenant, job_id)
            job = job_of(row)
            return job.model_copy(update={"estimate_s": _wait(connection, row)}) if job.state == "queued" else job

        return self.database.read(work)

    def list(
        self, tenant: str, state: JobState | None = None, limit: int = 50, after: str | None = None
    ) -> tuple[Job, ...]:
        """A tenant's jobs, newest first; ``after`` is the last one's id of the page before."""
        query = select(JOBS).where(JOBS.c.tenant == tenant).order_by(JOBS.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(JOBS.c.state == state)
        if after is not None:
            query = query.where(JOBS.c.id < after)
        return self.database.read(lambda connection: tuple(map(job_of, connection.execute(query).mappings())))

    def cancel(self, tenant: str, job_id: str) -> Job:
        """Ask for a job's end: one that waits has ended at once, one that runs when its worker sees it; one that has
        ended stays as it is. A job that was asked to end while it ran never becomes `done`.

        Raises:
            BadInput: ``gateway.no_such_job``.
        """

        def work(connection: Connection) -> Job:
            row = _row(connection, tenant, job_id, lock=True)
            if row["state"] == "queued":
                end(connection, row, "cancelled", self.database.now_ms(), cancel_asked=True)
            elif row["state"] == "running" and not row["cancel_asked"]:
                asked = update(JOBS).where(JOBS.c.id == job_id, JOBS.c.state == "running")
                connection.execute(asked.values(cancel_asked=True, revision=JOBS.c.revision + 1))
            return job_of(_row(connection, tenant, job_id))

        return self.database.write(work)

    def watch(self, tenant: str, job_id: str, after_event: int = 0) -> tuple[JobEvent, ...]:
        """What is new since an event, without waiting: nothing, or the job as it is now.

        Changes between two looks come as one event: a watcher that was away sees where the job stands, not every
        step that it missed.

        Raises:
            BadInput: ``gateway.no_such_job``.
        """
        job = self.database.read(lambda connection: job_of(_row(connection, tenant, job_id)))
        return (JobEvent(job.revision, job),) if job.revision > after_event else ()

    def counts(self, *, ended: bool = True) -> Counts:
        """How loaded the queue is; without ``ended`` the jobs that have ended, of which there may be millions, are not
        counted."""
        now = self.database.now_ms()

        def work(connection: Connection) -> Counts:
            by_state = select(JOBS.c.state, JOBS.c.tenant, func.count()).group_by(JOBS.c.state, JOBS.c.tenant)
            if not ended:
                by_state = by_state.where(JOBS.c.state.in_(("queued", "running")))
            rows = connection.execute(by_state).all()
            due = select(func.min(JOBS.c.due_ms)).where(JOBS.c.state == "queued")
            oldest = connection.execute(due).scalar()
            states: dict[str, int] = {}
            for state, _tenant, number in rows:
                states[state] = states.get(state, 0) + number
            return Counts(
                queued=states.get("queued", 0),
                running=states.get("running", 0),
                oldest_s=0.0 if oldest is None else max(0, now - oldest) / 1000,
                running_of={tenant: number for state, tenant, number in rows if state == "running"},
                queued_of={tenant: number for state, tenant, number in rows if state == "queued"},
                states=states,
                wait_s=_wait(connection, None),
            )

        return self.database.read(work)


def pace(connection: Connection) -> float | None:
    """Seconds of work a second of clip, over the last finished jobs; None before there is one."""
    last = (
        select(JOBS.c.work_s, JOBS.c.clip_s)
        .where(JOBS.c.state.in_(("done", "expired")), JOBS.c.work_s.is_not(None), JOBS.c.clip_s > 0)
        .order_by(JOBS.c.finished_ms.desc())
        .limit(_PACE_OF)
        .subquery()
    )
    work_s, clip_s = connection.execute(select(func.sum(last.c.work_s), func.sum(last.c.clip_s))).one()
    return None if not clip_s else float(work_s) / float(clip_s)


def _wait(connection: Connection, row: RowMapping | None) -> float | None:
    """Seconds until a waiting job is done, or until one that came now would begin."""
    seconds = pace(connection)
    if seconds is None:
        return None
    clip_s = func.coalesce(JOBS.c.clip_s, _UNKNOWN_CLIP_S)
    before = and_(JOBS.c.state == "queued", *([] if row is None else [JOBS.c.id < row["id"]]))
    waiting = float(connection.execute(select(func.coalesce(func.sum(clip_s), 0.0)).where(before)).scalar_one())
    left = func.sum(clip_s * (100.0 - JOBS.c.percent) / 100.0)
    running, workers = connection.execute(
        select(func.coalesce(left, 0.0), func.count()).where(JOBS.c.state == "running")
    ).one()
    own = 0.0 if row is None else float(row["clip_s"] or _UNKNOWN_CLIP_S)
    return seconds * ((waiting + float(running)) / max(1, workers) + own)


def _row(connection: Connection, tenant: str, job_id: str, *, lock: bool = False) -> RowMapping:
    query: Any = select(JOBS).where(JOBS.c.id == job_id, JOBS.c.tenant == tenant)
    row: RowMapping | None = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise BadInput("gateway.no_such_job", f"There is no job {job_id[:40]!r}.", "GET /v1/dubs lists yours.")
    return row
