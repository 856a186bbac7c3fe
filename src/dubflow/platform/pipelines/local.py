"""A run on this machine: kfp.local on the compiled pipeline, with a record, a cache, and steps that end with it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dubflow.errors import DubflowError, OurFault, WrongUse, missing_extra
from dubflow.locking import alone_in
from dubflow.platform.pipelines.definitions import Definition, Value, code_digest, parse
from dubflow.platform.pipelines.listening import Listening
from dubflow.platform.pipelines.parity import ignored_here
from dubflow.platform.pipelines.records import (
    LOG,
    PIPELINE,
    RunRecord,
    new_id,
    now,
    read_record,
    this_process,
    write_record,
)
from dubflow.platform.pipelines.surroundings import surroundings
from dubflow.platform.steps.refusals import FOLDER as REFUSED
from dubflow.platform.steps.verbs import ERROR, last_error

WORKSPACE = "workspace"
_PATIENCE_S = 20.0


def start(definition: Definition, arguments: Mapping[str, Value], home: Path, say: Callable[[str], None]) -> RunRecord:
    """Run a pipeline to its end, and return its record.

    Args:
        arguments: of the pipeline; ``workspace`` and ``code`` are filled in where they are not given.
        home: folder of all runs, their cache and their workspace. say: is told what goes on, line by line.

    Raises:
        What the step that failed raised; ``platform.run_failed`` (ours) where it left no word.
        WrongUse: ``install.missing_extra``.
    """
    home = Path(home).resolve()
    known = {one.name for one in definition.parameters}
    filled = {"workspace": str(home / WORKSPACE), "code": code_digest()}
    given = {name: value for name, value in filled.items() if name in known} | dict(arguments)
    record = RunRecord(
        id=new_id(definition.name),
        pipeline=definition.name,
        arguments=given,
        where="local",
        state="running",
        created=now(),
        process=this_process(),
        ignored=ignored_here(definition),
    )
    folder = home / record.id
    folder.mkdir(parents=True)
    (folder / PIPELINE).write_text(definition.text, encoding="utf-8")
    write_record(home, record)
    return _run(definition, record, home, say)


def resume(run: str, home: Path, say: Callable[[str], None]) -> RunRecord:
    """Go on with a run that failed, was cancelled or whose process died; finished steps are taken from the cache.

    The same compiled pipeline and arguments; what failed is done by today's code, and what is done stays.

    Raises:
        BadInput: ``platform.no_run``. WrongUse: ``platform.run_is_over``, ``platform.run_is_busy``; and as
            :func:`start`.
    """
    home = Path(home).resolve()
    record = read_record(home, run)
    if record.state == "succeeded":
        raise WrongUse("platform.run_is_over", f"The run {run} has succeeded.", "Start another with `dubflow run`.")
    if record.state == "running":
        raise WrongUse("platform.run_is_busy", f"The run {run} is going on.", "Cancel it first, or wait.")
    changes: dict[str, Any] = {
        "state": "running",
        "ended": None,
        "attempts": record.attempts + 1,
        "process": this_process(),
        "steps": {},
    }
    again = record.model_copy(update=changes)
    shutil.rmtree(home / run / REFUSED, ignore_errors=True)
    write_record(home, again)
    return _run(parse((home / run / PIPELINE).read_text(encoding="utf-8")), again, home, say)


def cancel(run: str, home: Path) -> RunRecord:
    """End a run on this machine with its steps; what they finished is kept.

    Raises:
        BadInput: ``platform.no_run``. WrongUse: ``platform.run_is_over``. OurFault: ``platform.not_cancelled``.
    """
    home = Path(home).resolve()
    record = read_record(home, run)
    if record.state != "running" or record.process is None:
        raise WrongUse("platform.run_is_over", f"The run {run} is {record.state}.", "There is nothing to cancel.")
    os.kill(record.process[0], signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if (found := read_record(home, run)).state != "running":
            return found
        time.sleep(0.05)
    raise OurFault("platform.not_cancelled", f"The run {run} does not end.", f"Its process is {record.process[0]}.")


def _run(definition: Definition, record: RunRecord, home: Path, say: Callable[[str], None]) -> RunRecord:
    folder = home / record.id
    busy = WrongUse("platform.run_is_busy", f"Another process runs {record.id}.", "Cancel it first, or wait.")
    with alone_in(folder, busy):
        names = definition.step_names
        listening = Listening(
            folder / LOG, names, say, lambda steps: write_record(home, _with(record, steps=dict(steps)))
        )
        try:
            _execute(folder, listening)
        except (KeyboardInterrupt, SystemExit):
            write_record(home, _ended(record, "cancelled", listening))
            raise
        except DubflowError:
            write_record(home, _ended(record, "failed", listening))
            raise
        ended = _ended(record, "succeeded", listening)
        write_record(home, ended)
        return ended


def _execute(folder: Path, listening: Listening) -> None:
    if importlib.util.find_spec("kfp") is None:
        raise missing_extra("kfp")
    (folder / ERROR).unlink(missing_ok=True)
    words = [sys.executable, "-m", "dubflow.platform.pipelines.kfp_child", str(folder)]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env={**os.environ, **surroundings(folder.parent)},
        start_new_session=True,  # Ctrl-C is for us alone; we then end it, and with it its steps
    ) as child:
        assert child.stdout is not None  # asked for
        try:
            listening.take_all(child.stdout)
        finally:
            if child.poll() is None:
                child.kill()
    if child.returncode == 0:
        return
    raise last_error(folder) or OurFault(
        "platform.run_failed",
        f"The pipeline ended with code {child.returncode}.",
        f"{folder / LOG} has what its steps said; `dubflow runs resume` goes on.",
    )


def _with(record: RunRecord, **changes: Any) -> RunRecord:
    return RunRecord.model_validate(record.model_dump() | changes)


def _ended(record: RunRecord, state: str, listening: Listening) -> RunRecord:
    return _with(record, state=state, ended=now(), process=None, steps=dict(listening.closed_as(state)))
