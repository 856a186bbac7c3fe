"""A job as everybody outside the queue sees it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from dubflow.config import Strict
from dubflow.gateway.jobs.request import JobRequest

JobState = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
ENDED: frozenset[JobState] = frozenset({"done", "failed", "cancelled", "expired"})
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: sorts as its numbers do
_RANDOM_BITS = 80


class JobError(Strict):
    """Why a job failed."""

    code: str
    message: str
    hint: str = ""


class Job(Strict):
    """One job."""

    id: str = Field(description="Sorts by time of creation; cannot be guessed.")
    tenant: str
    key_id: str = Field(description="The API key that asked.")
    state: JobState
    stage: str = Field(description="waiting, planning, looking, speaking, writing.")
    percent: float = Field(ge=0, le=100)
    estimate_s: float | None = Field(description="Seconds until it is done, as far as finished jobs tell.")
    revision: int = Field(description="Grows with every change; the number of an event.")
    created: datetime
    started: datetime | None
    finished: datetime | None
    attempts: int
    cancel_asked: bool
    engine: str | None
    served_version: int | None
    request: JobRequest | None = Field(description="None once its time is over: texts are not kept.")
    result: dict[str, Any] | None
    error: JobError | None
    trace_id: str | None


@dataclass(frozen=True)
class Submitted:
    """A job that was taken on; ``found`` when an earlier call with the same idempotency key had done so."""

    job: Job
    found: bool


@dataclass(frozen=True)
class JobEvent:
    """A change of a job: its number (for ``Last-Event-ID``) and the job as it is then."""

    number: int
    job: Job

    @property
    def ended(self) -> bool:
        """Whether no event follows but the end of its keeping."""
        return self.job.state in ENDED


@dataclass(frozen=True)
class Counts:
    """How loaded the queue is.

    Attributes:
        queued, running: jobs. oldest_s: age of the oldest that is due and waits; 0 without one.
        running_of, queued_of: by tenant; those without any are not in it. states: jobs by state, as far as asked for.
        wait_s: expected wait of a job that comes now, from work in the queue, finished jobs' pace and ``workers``
            that hold leases or did lately (at least one); None before anything was finished.
    """

    queued: int
    running: int
    oldest_s: float
    running_of: dict[str, int]
    queued_of: dict[str, int]
    states: dict[str, int]
    wait_s: float | None


def new_id(prefix: str, now_ms: int) -> str:
    """``prefix_`` and 26 digits: 48 bits of time, 80 random ones. Sorts by time and cannot be guessed."""
    number = ((now_ms & (2**48 - 1)) << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    digits = ""
    for _ in range(26):
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return f"{prefix}_{digits}"
