"""Rows of the table and jobs, into each other; and how a job ends, which several modules do in the same way."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, update

from dubflow.errors import DubflowError
from dubflow.gateway.jobs.job import Job, JobError, JobState, new_id
from dubflow.gateway.jobs.request import JobRequest
from dubflow.gateway.tables import DELIVERIES, DOOMED, JOBS

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

DOOM_DELAY_MS = 3_600_000
"""What a lost attempt wrote is removed only so much later: its worker may not know yet, and write on."""


def job_of(row: RowMapping) -> Job:
    """The job in a row of :data:`JOBS`."""
    request = json.loads(row["request"])
    return Job(
        id=row["id"],
        tenant=row["tenant"],
        key_id=row["key_id"],
        state=row["state"],
        stage=row["stage"],
        percent=row["percent"],
        estimate_s=row["estimate_s"],
        revision=row["revision"],
        created=moment(row["created_ms"]),
        started=None if row["started_ms"] is None else moment(row["started_ms"]),
        finished=None if row["finished_ms"] is None else moment(row["finished_ms"]),
        attempts=row["attempts"],
        cancel_asked=row["cancel_asked"],
        engine=row["engine"],
        served_version=row["served_version"],
        request=JobRequest.model_validate(request) if request else None,
        result=None if row["result"] is None else json.loads(row["result"]),
        error=None if row["error"] is None else JobError.model_validate_json(row["error"]),
        trace_id=row["trace_id"],
    )


def moment(milliseconds: int) -> datetime:
    """In UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def error_text(error: DubflowError) -> str:
    """An error as the column keeps it."""
    return JobError(code=error.code, message=error.headline, hint=error.hint).model_dump_json()


def output_prefix(job_id: str, fence: int) -> str:
    """Where in the storage one lease of a job puts what it makes."""
    return f"jobs/{job_id}/{fence}/"


def end(connection: Connection, row: RowMapping, state: JobState, now_ms: int, **values: Any) -> bool:
    """End a job as it stands in ``row``; False where somebody changed it meanwhile.

    In the same transaction: outputs of leases that came to nothing are doomed, and the webhook's delivery is written.
    """
    changed = connection.execute(
        update(JOBS)
        .where(JOBS.c.id == row["id"], JOBS.c.fence == row["fence"], JOBS.c.state == row["state"])
        .values(
            state=state,
            finished_ms=now_ms,
            lease_until_ms=None,
            estimate_s=0.0 if state == "done" else None,
            percent=100.0 if state == "done" else row["percent"],
            revision=JOBS.c.revision + 1,
            **values,
        )
    )
    if changed.rowcount != 1:
        return False
    last = row["fence"] - 1 if state == "done" else row["fence"]
    for fence in range(1, last + 1):
        doom(connection, output_prefix(row["id"], fence), now_ms + DOOM_DELAY_MS)
    webhook = json.loads(row["request"]).get("webhook")
    if webhook:
        _announce(connection, row, state, webhook, now_ms, values.get("error"))
    return True


def doom(connection: Connection, prefix: str, due_ms: int) -> None:
    """Have what lies below ``prefix`` removed, at ``due_ms`` or as was said before."""
    known = connection.execute(DOOMED.select().where(DOOMED.c.prefix == prefix)).first()
    if known is None:
        connection.execute(insert(DOOMED).values(prefix=prefix, due_ms=due_ms))


def _announce(
    connection: Connection, row: RowMapping, state: JobState, url: str, now_ms: int, error: str | None
) -> None:
    delivery = new_id("whd", now_ms)
    body = {
        "format": "dubflow.webhook/1",
        "id": delivery,
        "type": f"dub.{state}",
        "created": moment(now_ms).isoformat(),
        "job": {
            "id": row["id"],
            "state": state,
            "created": moment(row["created_ms"]).isoformat(),
            "finished": moment(now_ms).isoformat(),
            "attempts": row["attempts"],
            "error": None if error is None else json.loads(error),
        },
    }
    connection.execute(
        insert(DELIVERIES).values(
            id=delivery,
            job_id=row["id"],
            url=url,
            body=json.dumps(body, sort_keys=True),
            state="waiting",
            attempts=0,
            created_ms=now_ms,
            due_ms=now_ms,
        )
    )
