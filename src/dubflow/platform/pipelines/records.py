"""What is known of each run, whoever asks and whenever: a folder a run.

=================== ============================================================================
``run.json``        :class:`RunRecord`
``pipeline.yaml``   the compiled pipeline that runs, so that a resumption runs the same
``log.txt``         everything that steps said
``error.json``      why it failed, as a typed error
``artifacts/``      what steps left
=================== ============================================================================
"""

from __future__ import annotations

import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.errors import BadInput

FORMAT: Literal["dubflow.run/1"] = "dubflow.run/1"
RECORD, PIPELINE, LOG, ARTIFACTS = "run.json", "pipeline.yaml", "log.txt", "artifacts"
CACHE = "cache"
"""Beside the runs: what equal inputs gave before."""

State = Literal["running", "succeeded", "failed", "cancelled", "stopped"]
StepState = Literal["running", "succeeded", "failed", "cached"]


class RunRecord(Strict):
    """A run of a pipeline."""

    format: Literal["dubflow.run/1"] = FORMAT
    id: str
    pipeline: str
    arguments: dict[str, Any] = Field(description="As the pipeline was given them.")
    where: Literal["local", "cluster"]
    state: State = Field(description="stopped: its process is gone and said nothing.")
    created: str = Field(description="ISO 8601, UTC.")
    ended: str | None = None
    attempts: int = Field(1, ge=1, description="1, and one more with each resumption.")
    process: tuple[int, str] | None = Field(default=None, description="Id and start of the process that runs it.")
    remote: str = Field(default="", description="Id of the run on the cluster.")
    steps: dict[str, StepState] = Field(default_factory=dict, description="In the order in which they began.")
    ignored: tuple[str, ...] = Field((), description="What this place cannot do of what the pipeline asks for.")


def now() -> str:
    """This moment, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_id(pipeline: str) -> str:
    """An id that sorts by time and is never given twice."""
    return f"{pipeline}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def write_record(home: Path, record: RunRecord) -> None:
    """Write it into its folder below ``home``."""
    write_json(home / record.id / RECORD, record.model_dump(mode="json"))


def read_record(home: Path, run: str) -> RunRecord:
    """The record of a run; one that says running and whose process is gone is ``stopped``.

    Raises:
        BadInput: ``platform.no_run``, ``platform.bad_run``.
    """
    path = Path(home) / run / RECORD
    if not run or Path(run).name != run or not path.is_file():
        raise BadInput("platform.no_run", f"There is no run {run!r} in {home}.", "`dubflow runs list` names them.")
    try:
        record = RunRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise BadInput("platform.bad_run", f"{path} cannot be read: {error}.", "Another version wrote it.") from error
    if record.state == "running" and record.where == "local" and not alive(record.process):
        return record.model_copy(update={"state": "stopped"})
    return record


def list_records(home: Path) -> list[RunRecord]:
    """All runs below ``home``, the newest first; folders that are no runs are passed over."""
    found = [path.parent.name for path in Path(home).glob(f"*/{RECORD}")]
    return sorted((read_record(home, run) for run in found), key=lambda one: (one.created, one.id), reverse=True)


def this_process() -> tuple[int, str]:
    """This process, told apart from a later one with the same id by its start."""
    return os.getpid(), _started(os.getpid())


_ENDED = "ZX"


def alive(process: tuple[int, str] | None) -> bool:
    """Whether that very process runs; one that has ended and waits for its parent does not."""
    return process is not None and _started(process[0]) == process[1] != ""


def _started(process: int) -> str:
    try:
        # The name in the second field may hold spaces and brackets; the start is the 20th after its end.
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if fields[0] in _ENDED else fields[19]
    except (OSError, IndexError):
        return ""
