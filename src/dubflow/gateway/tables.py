"""Tables of the jobs. Times are milliseconds since 1970; texts that are JSON say so.

The part's version is that of :data:`STEPS`; a change here comes with a step there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text
from sqlalchemy import text as sql

if TYPE_CHECKING:
    from dubflow.gateway.database import Database, Step

METADATA = MetaData()

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("percent", Float, nullable=False),
    Column("estimate_s", Float),
    Column("revision", Integer, nullable=False),  # raised by whatever a watcher may want to know
    Column("created_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("finished_ms", BigInteger),
    Column("due_ms", BigInteger, nullable=False),  # not leased before
    Column("attempts", Integer, nullable=False),  # that count: one that was given back does not
    Column("fence", Integer, nullable=False),  # how often it was leased; whoever holds the last one may write
    Column("worker", String(128)),
    Column("lease_until_ms", BigInteger),
    Column("cancel_asked", Boolean, nullable=False),
    Column("engine", String(256)),
    Column("served_version", Integer),
    Column("request", Text, nullable=False),  # JSON
    Column("request_sha256", String(64), nullable=False),
    Column("clip_key", String(512), nullable=False),
    Column("reference_key", String(512)),
    Column("result", Text),  # JSON
    Column("error", Text),  # JSON
    Column("idempotency", String(256)),
    Column("trace_id", String(64)),
    Column("clip_s", Float),  # seconds of the clip, and of work: what estimates are made from
    Column("work_s", Float),
    Index("jobs_queue", "state", "tenant", "due_ms"),
    Index("jobs_of_tenant", "tenant", "id"),
    Index("jobs_finished", "state", "finished_ms"),
    Index("jobs_clip", "clip_key"),
    Index("jobs_reference", "reference_key"),
    Index("jobs_once", "tenant", "idempotency", unique=True),
)

TURNS = Table(  # when each tenant's turn came last
    "job_turns",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("last_ms", BigInteger, nullable=False),
)

DOOMED = Table(  # files to remove, written in the transaction that makes them nobody's
    "doomed_files",
    METADATA,
    Column("prefix", String(512), primary_key=True),
    Column("due_ms", BigInteger, nullable=False),
    Index("doomed_due", "due_ms"),
)

DELIVERIES = Table(  # webhooks to send, written in the transaction that ends the job
    "webhook_deliveries",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("job_id", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON, as it is signed and sent
    Column("state", String(16), nullable=False, server_default=sql("'waiting'")),  # waiting | delivered | given_up
    Column("attempts", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("answer", Integer),  # status of the last answer
    Column("why", Text),  # code of the last failure
    Index("deliveries_due", "state", "due_ms"),
)

STEPS: dict[int, Step] = {}


def migrate(database: Database) -> None:
    """Make or bring up the jobs' tables.

    Raises:
        BadInput: ``gateway.newer_database``.
        OurFault: ``gateway.database_busy``, ``gateway.database_failed``.
    """
    database.migrate("jobs", METADATA, STEPS)
