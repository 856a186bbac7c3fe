"""A server as one thing: Triton, its keeper, the gateway and its workers, supervised together.

Its folder has everything: what is served (``serving.json``), what was asked for (``options.json``), who supervises
(``supervisor.json``, believed only while the folder's lock is held), which processes run (``processes.json``), logs.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

from pydantic import Field

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.errors import BadInput, DubflowError, ExitCode, WrongUse
from dubflow.locking import alone_in
from dubflow.platform.pipelines.records import this_process
from dubflow.platform.supervising import Program, Supervisor
from dubflow.serving.environment import check_numpy, no_triton, why_not
from dubflow.serving.laid_out import REPOSITORY, all_off
from dubflow.serving.launcher import TritonServer, free_ports
from dubflow.serving.listening import load_listening
from dubflow.serving.options import ServeOptions, write_options
from dubflow.serving.state import STARTER_VERSION, Mode, ServingState, now, read_state, update_state, write_state
from dubflow.serving.watcher import MODELS

SUPERVISOR = "supervisor.json"
LOGS = "logs"
HOST = "127.0.0.1"
LOOK_S = 0.2
_DRAIN_S = 30.0
_LEAVE_S = 15.0
_KEEPER_S = 5.0
_LOCK_S = 1.0
"""Somebody who asks whether a server is up holds the lock for a moment."""
WantedMode = Literal["auto", "triton", "in-process"]


class StackPlan(Strict):
    """What is started."""

    directory: Path
    mode: Mode
    why: str = Field("", description="Why not Triton.")
    options: ServeOptions
    port: int = Field(gt=0, description="Of the gateway.")
    workers: int = Field(ge=0)
    gateway: bool = Field(True, description="Whether gateway and workers are started, or the model alone.")

    @property
    def model(self) -> str:
        """Name under which it is served."""
        return self.options.name or "starter"


def plan_stack(
    directory: Path,
    options: ServeOptions,
    *,
    mode: WantedMode = "auto",
    port: int | None = None,
    workers: int = 1,
    gateway: bool = True,
) -> StackPlan:
    """What would be started here; nothing is.

    Raises:
        WrongUse: ``serving.no_triton`` where it is insisted on, ``serving.numpy_2``, ``platform.port_busy``,
            ``platform.no_trusted_key`` for a registry without a key.
    """
    why = "it was asked for" if mode == "in-process" else why_not()
    if why and mode == "triton":
        raise no_triton(why)
    if not why:
        check_numpy()
    if options.name is not None and not options.trusted_keys:
        raise WrongUse(
            "platform.no_trusted_key",
            "A server loads packages that a key signed which it trusts; none is named.",
            "Give --trusted-key FILE.pub (or DUBFLOW_TRUSTED_KEYS).",
        )
    return StackPlan(
        directory=Path(directory).absolute(),
        mode="in_process" if why else "triton",
        why=why,
        options=options,
        port=_port(port),
        workers=workers,
        gateway=gateway,
    )


def run_stack(plan: StackPlan, say: Callable[[str], None], ready: Callable[[ServingState], None]) -> None:
    """Run the server in this process until SIGTERM, SIGINT or SIGHUP; then drain and end it.

    Args:
        say: is told what happens. ready: is called once the first version serves and the gateway listens.

    Raises:
        WrongUse: ``platform.already_up``. What starting Triton raises.
    """
    directory = plan.directory
    stop = threading.Event()
    with alone_in(directory, _already_up(directory), _LOCK_S), _ending(stop):
        process, started = this_process()
        write_json(directory / SUPERVISOR, {"pid": process, "started": started, "since": now(), "port": plan.port})
        _prepare(plan)
        supervisor = Supervisor(directory, say)
        try:
            for service, patience in _services(plan):
                supervisor.add(service, patience)
            told = False
            while not stop.wait(LOOK_S):
                supervisor.look()
                if not told and is_ready(directory, plan):
                    told = True
                    ready(read_state(directory))
        finally:
            supervisor.stop()
            gone = {"server": None, "grpc": None, "http": None, "metrics": None, "gateway": None}
            update_state(directory, lambda found: found.with_changes(**gone))
            (directory / SUPERVISOR).unlink(missing_ok=True)


def is_ready(directory: Path, plan: StackPlan) -> bool:
    """Whether a version serves that was heard since the start, and the gateway takes connections."""
    try:
        state = read_state(directory)
    except BadInput:
        return False
    # The state names the version of the last time before that one is loaded again; only then it is heard.
    served = state.current is not None and state.health is not None
    return served and (not plan.gateway or listens(plan.port))


def port_of(state: ServingState | None) -> int | None:
    """The gateway's, where the server has one."""
    return None if state is None or state.gateway is None else int(state.gateway.rpartition(":")[2])


def listens(port: int) -> bool:
    """Whether somebody takes connections on a port of loopback."""
    import socket

    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


class TritonService:
    """Triton, whose addresses go into the state at each start."""

    name = "triton"

    def __init__(self, plan: StackPlan) -> None:
        self._directory = plan.directory
        triton = plan.options.tuning.triton
        self._server = TritonServer(plan.directory / REPOSITORY, plan.directory, triton, load_listening())
        self._starts = 0

    @property
    def pid(self) -> int | None:
        """See :class:`~dubflow.platform.supervising.Service`."""
        return self._server.pid if self._server.alive() else None

    @property
    def log(self) -> Path:
        """See :class:`~dubflow.platform.supervising.Service`."""
        return self._server.log

    def start(self) -> None:
        """See :class:`~dubflow.platform.supervising.Service`."""
        self._server.stop(0)  # what a dead one has left
        all_off(self._server.repository)
        self._server.start()
        again, self._starts = int(self._starts > 0), self._starts + 1
        where = {name: getattr(self._server, name) for name in ("grpc", "http", "metrics")}
        update_state(
            self._directory,
            lambda found: found.counted(server_restarts=again).with_changes(server=self._server.pid, **where),
        )

    def ended(self) -> str | None:
        """See :class:`~dubflow.platform.supervising.Service`."""
        return None if self._server.alive() else "its process is gone"

    def stop(self, patience_s: float) -> None:
        """See :class:`~dubflow.platform.supervising.Service`."""
        self._server.stop(patience_s)


def _services(plan: StackPlan) -> Iterator[tuple[Program | TritonService, float]]:
    """What runs, in the order in which it is started, with the patience for its end."""
    state, logs = str(plan.directory), plan.directory / LOGS
    python = [sys.executable, "-m"]
    if plan.mode == "triton":
        yield TritonService(plan), plan.options.tuning.triton.stop_s + 2
    yield Program("keeper", [*python, "dubflow.serving.keeper", "--state", state], logs / "keeper.log"), _KEEPER_S
    if not plan.gateway:
        return
    environment = _gateway_environment(plan.options)
    for number in range(plan.workers):
        command = [*python, "dubflow.gateway.worker", "--state", state, "--drain", f"{_DRAIN_S:g}"]
        yield Program(f"worker-{number}", command, logs / f"worker-{number}.log", environment), _DRAIN_S + _LEAVE_S
    command = [*python, "dubflow.gateway", "--state", state, "--host", HOST, "--port", str(plan.port)]
    yield Program("gateway", command, logs / "gateway.log", environment), _LEAVE_S


def _gateway_environment(options: ServeOptions) -> dict[str, str]:
    """What the gateway must know of the model, so that who promotes over HTTP promotes what is watched."""
    found = {"MODEL": options.name, "REGISTRY": options.registry, "LICENCES": options.licences}
    for name, keys in (("PACKAGE_KEYS", options.trusted_keys), ("VERDICT_KEYS", options.verdict_keys)):
        if keys:
            found[name] = json.dumps([str(key) for key in keys])
    return {f"DUBFLOW_GATEWAY_{name}": value for name, value in found.items() if value is not None}


def _prepare(plan: StackPlan) -> None:
    """Options, and a state that goes on from the last time where the same model is asked for."""
    directory = plan.directory
    write_options(directory, plan.options)
    fresh = ServingState(mode=plan.mode, why=plan.why, model=plan.model, registry=_shown(plan.options))
    try:
        found = read_state(directory)
    except BadInput:
        found = fresh
    if plan.options.name is None or (found.model, found.registry) != (fresh.model, fresh.registry):
        found = fresh.with_changes(counts=found.counts)
        for pattern in (f"{STARTER_VERSION}-*", "*-stored"):  # no digest says what is in them
            for folder in (directory / MODELS).glob(pattern):
                shutil.rmtree(folder, ignore_errors=True)  # another folder may be meant by now
    gateway = f"{HOST}:{plan.port}" if plan.gateway else None
    gone = {"server": None, "grpc": None, "http": None, "metrics": None, "health": None}
    write_state(directory, found.with_changes(mode=plan.mode, why=plan.why, gateway=gateway, **gone))


def _shown(options: ServeOptions) -> str | None:
    if options.name is None:
        return None
    from dubflow.config import Settings
    from dubflow.registry.tracking_store import store_of

    return store_of(options.registry, Settings().home / "models").shown


def _port(wanted: int | None) -> int:
    if wanted is not None and wanted != 0:
        if listens(wanted):
            raise WrongUse("platform.port_busy", f"Somebody listens on port {wanted} already.", "Name another port.")
        return wanted
    from dubflow.gateway.settings import load_settings

    usual = load_settings().port
    return usual if wanted is None and usual and not listens(usual) else free_ports(1)[0]


def _already_up(directory: Path) -> WrongUse:
    return WrongUse(
        "platform.already_up",
        f"A server runs in {directory} already.",
        "Look at it (dubflow serve status), end it (dubflow serve down), or name another --state.",
    )


@contextmanager
def _ending(stop: threading.Event) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP set ``stop`` for the length of a ``with`` block."""

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m dubflow.platform.serving_stack PLAN``: run what the file describes; the exit code.

    One JSON document goes to standard output: the state once it is ready, or why it never was.
    """
    (path,) = sys.argv[1:] if arguments is None else arguments
    plan = StackPlan.model_validate_json(Path(path).read_text(encoding="utf-8"))

    def answer(content: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    try:
        run_stack(plan, say, lambda state: answer(state.model_dump(mode="json")))
    except DubflowError as error:
        answer({"error": error.as_dict() | {"exit_code": int(error.exit_code)}})
        return int(error.exit_code)
    return int(ExitCode.FINE)


def say(text: str) -> None:
    """A line with the time on standard error."""
    sys.stderr.write(f"{now()} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
