"""Looks at a server from outside, starts one in the background, ends it, and reads its logs."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from dubflow.atomic import write_text
from dubflow.config import Strict
from dubflow.errors import BadInput, DubflowError, OurFault, restored
from dubflow.locking import LOCK
from dubflow.parallel import end_with_parent
from dubflow.platform.pipelines.records import alive
from dubflow.platform.serving_stack import LOGS, SUPERVISOR, StackPlan, listens, port_of
from dubflow.platform.supervising import FILE as PROCESSES
from dubflow.platform.supervising import ProcessFacts
from dubflow.serving.launcher import LOG_FILE
from dubflow.serving.state import ServingState, read_state

_PLAN, _ANSWER, _LOG = "plan.json", "up.json", "supervisor.log"
_LOOK_S = 0.1
_GONE_S = 5.0


class StackStatus(Strict):
    """What is known of a server."""

    directory: Path
    up: bool = Field(description="Whether somebody supervises it.")
    pid: int | None = Field(None, description="Of the supervisor.")
    since: str | None = None
    listening: bool = Field(description="Whether the gateway takes connections.")
    processes: tuple[ProcessFacts, ...] = ()
    state: ServingState | None = Field(None, description="None where no server ever ran there.")

    @property
    def fine(self) -> bool:
        """Whether it is up, serves a version, and its last deep look was fine."""
        state = self.state
        if not self.up or state is None or state.current is None:
            return False
        return (state.gateway is None or self.listening) and (state.health is None or state.health.fine)


def status_of(directory: Path) -> StackStatus:
    """The server of a folder; what a dead supervisor left is not believed.

    Raises:
        BadInput: ``serving.bad_state``.
    """
    directory = Path(directory).absolute()
    up = is_up(directory)
    found = _json(directory / SUPERVISOR) if up else {}
    state: ServingState | None = None
    try:
        state = read_state(directory)
    except BadInput as error:
        if error.code != "serving.no_state":
            raise
    port = port_of(state)
    return StackStatus(
        directory=directory,
        up=up,
        pid=found.get("pid"),
        since=found.get("since"),
        listening=up and port is not None and listens(port),
        processes=_processes(directory) if up else (),
        state=state,
    )


def is_up(directory: Path) -> bool:
    """Whether a supervisor holds the folder's lock: the system lets go of it however the supervisor ends."""
    try:
        handle = os.open(Path(directory) / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def start_detached(
    plan: StackPlan, within_s: float, say: Callable[[str], None], *, outlives: bool = True
) -> ServingState:
    """Start a server in a process of its own, and wait until it serves.

    Args:
        outlives: whether it goes on when this process ends; else it is drained and ended with the calling thread.

    Raises:
        WrongUse: ``platform.already_up``; what starting it raises.
        OurFault: ``platform.not_ready`` where it does not serve within ``within_s`` seconds; it runs on.
    """
    directory = plan.directory
    (directory / LOGS).mkdir(parents=True, exist_ok=True)
    path, answer = directory / _PLAN, directory / LOGS / _ANSWER
    write_text(path, plan.model_dump_json(indent=2) + "\n")
    with answer.open("wb") as out, (directory / LOGS / _LOG).open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "dubflow.platform.serving_stack", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
            preexec_fn=None if outlives else end_with_parent,
        )
    say(f"starting in {directory} (process {child.pid}); logs: dubflow serve logs")
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        told = _json(answer)
        if "error" in told:
            child.wait()
            raise restored(told["error"], told["error"].get("exit_code", 4))
        if told:
            return ServingState.model_validate(told)
        if child.poll() is not None:
            raise OurFault(
                "platform.not_started",
                f"The server ended with code {child.returncode} before it was ready.",
                f"See {directory / LOGS / _LOG}.",
            )
        time.sleep(_LOOK_S)
    refused = _refusals(directory)
    raise OurFault(
        "platform.not_ready",
        f"The server runs, but serves no version after {within_s:g} s{refused}.",
        "It goes on trying: see dubflow serve status and dubflow serve logs.",
    )


def await_served(directory: Path, version: int, package: str | None, within_s: float) -> ServingState:
    """Wait until the server of a folder serves this version.

    Raises:
        BadInput: ``platform.served_refused`` where it refuses the version. OurFault: ``platform.not_served``.
    """
    until = time.monotonic() + within_s
    while True:
        state = read_state(directory)
        current = state.current
        if current is not None and (current.version, current.package) == (version, package):
            return state
        for one in state.refused:
            if (one.version, one.package) == (version, package):
                raise BadInput("platform.served_refused", f"The server refuses version {version}: {one.headline}")
        if time.monotonic() > until:
            raise OurFault(
                "platform.not_served",
                f"The server of {directory} does not serve version {version} of {state.model} after {within_s:g} s.",
                "See dubflow serve status.",
            )
        time.sleep(_LOOK_S)


def stop_stack(directory: Path, patience_s: float) -> bool:
    """End a server: drained by its supervisor, or killed after ``patience_s`` seconds; whether one was up.

    Raises:
        OurFault: ``platform.not_ended``.
    """
    directory = Path(directory).absolute()
    if not is_up(directory):
        (directory / SUPERVISOR).unlink(missing_ok=True)  # of one that was killed
        return False
    until = time.monotonic() + patience_s
    found = _json(directory / SUPERVISOR)
    process = (int(found.get("pid", 0)), str(found.get("started", "")))
    if alive(process):
        os.kill(process[0], signal.SIGTERM)
    while is_up(directory) and time.monotonic() < until:
        time.sleep(_LOOK_S)
    if is_up(directory) and alive(process):
        os.kill(process[0], signal.SIGKILL)  # the system then ends what it supervised
    until = time.monotonic() + _GONE_S
    while is_up(directory) or alive(process):  # it lets go of the lock a moment before it is gone itself
        if time.monotonic() > until:
            raise OurFault(
                "platform.not_ended", f"The server of {directory} does not end.", f"Its supervisor is {process[0]}."
            )
        time.sleep(_LOOK_S)
    return True


def log_files(directory: Path, name: str | None = None) -> dict[str, Path]:
    """The logs of a server by process, or that of one.

    Raises:
        BadInput: ``platform.no_log``.
    """
    directory = Path(directory)
    found = {path.stem: path for path in sorted((directory / LOGS).glob("*.log"))}
    if (directory / LOG_FILE).is_file():
        found["triton"] = directory / LOG_FILE
    if name is not None:
        if name not in found:
            raise BadInput(
                "platform.no_log", f"There is no log {name!r} in {directory}.", f"It has: {', '.join(found) or 'none'}."
            )
        return {name: found[name]}
    if not found:
        raise BadInput("platform.no_log", f"{directory} has no logs.", "Start a server: dubflow serve up.")
    return found


def last_lines(path: Path, count: int) -> list[str]:
    """The end of a log."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n") for line in deque(lines, maxlen=count)]


def follow(files: dict[str, Path], going: Callable[[], bool] = lambda: True) -> Iterator[tuple[str, str]]:
    """New lines of several logs as they come, each with its process's name; a log that begins anew is followed."""
    at = {name: path.stat().st_size for name, path in files.items()}
    while going():
        quiet = True
        for name, path in files.items():
            size = path.stat().st_size if path.exists() else 0
            at[name] = at[name] if size >= at[name] else 0
            if size == at[name]:
                continue
            with path.open("rb") as file:
                file.seek(at[name])
                whole, end, _ = file.read(size - at[name]).rpartition(b"\n")
            at[name] += len(whole) + len(end)
            for line in whole.decode("utf-8", "replace").split("\n") if end else ():
                quiet = False
                yield name, line
        if quiet:
            time.sleep(_LOOK_S)


def _processes(directory: Path) -> tuple[ProcessFacts, ...]:
    try:
        return tuple(ProcessFacts.model_validate(one) for one in _json(directory / PROCESSES).get("processes", ()))
    except ValidationError:
        return ()  # another version of dubflow supervises


def _refusals(directory: Path) -> str:
    try:
        refused = read_state(directory).refused
    except DubflowError:
        return ""
    return "".join(f"; version {one.version} is refused: {one.headline}" for one in refused)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
