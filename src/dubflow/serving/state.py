"""What is served now, as one file that every process of a server reads: ``serving.json`` in its folder.

It is written whole or not at all, and changed under a lock, so a reader never sees half of a switch and two writers
(the supervisor, the watcher) never undo each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from dubflow.atomic import write_json
from dubflow.config import Settings, Strict
from dubflow.errors import BadInput, OurFault
from dubflow.locking import alone_in
from dubflow.registry.package.manifest import NAME

FORMAT: Literal["dubflow.serving/1"] = "dubflow.serving/1"
FILE = "serving.json"
STARTER_VERSION = 0
"""Number under which a model is served that comes from no registry."""
_WRITING = ".writing"
_PATIENCE_S = 10.0

Mode = Literal["triton", "in_process"]
Kind = Literal["diflow", "incontext"]


class Served(Strict):
    """One version that is loaded and was checked."""

    version: int = Field(ge=0, description="Of the registry, and of the model in Triton; 0: from no registry.")
    package: str | None = Field(None, description="Digest of its package; None where it comes from none.")
    kind: Kind = Field("diflow", description="Family; the Triton model that answers for it has this name.")
    engine: str = Field(min_length=1, description="Id of the engine, as results carry it.")
    world: Literal["embedded", "real"] = Field(description="Where it learnt to speak.")
    languages: tuple[str, ...] = Field(description="Which languages it learnt.")
    folder: Path = Field(description="Of its package or stored model on this machine.")
    since: str = Field(description="When it was switched to; UTC, ISO 8601.")


class Refused(Strict):
    """A version that must not serve, and why."""

    version: int = Field(ge=0)
    package: str | None = Field(None, description="Digest of the package that was refused.")
    code: str = Field(description="Of the error.")
    headline: str
    hint: str = ""
    at: str = Field(description="Of the last try; UTC, ISO 8601.")
    tries: int = Field(1, ge=1)


class Health(Strict):
    """The last deep look: a real, small inference on the current version."""

    fine: bool
    at: str = Field(description="UTC, ISO 8601.")
    seconds: float = Field(ge=0, description="How long it took.")
    reason: str = Field("", description="What was wrong; empty where nothing was.")


class Counts(Strict):
    """What has happened since the folder was made; Prometheus shows them as totals."""

    switches: int = Field(0, ge=0, description="Changes of the current version.")
    refusals: int = Field(0, ge=0, description="Versions refused.")
    checks_failed: int = Field(0, ge=0, description="Deep looks that failed.")
    stubs_died: int = Field(0, ge=0, description="Processes of models that were found dead.")
    reloads: int = Field(0, ge=0, description="Versions unloaded and loaded again to heal them.")
    server_restarts: int = Field(0, ge=0, description="Starts of Triton after it had died.")


class ServingState(Strict):
    """All of it."""

    format: Literal["dubflow.serving/1"] = FORMAT
    mode: Mode = Field(description="Whether Triton serves, or each worker runs the same inference core itself.")
    why: str = Field("", description="Why it is in_process; empty where Triton serves.")
    model: str = Field(pattern=f"^{NAME}$", description="Name in the registry; starter where there is none.")
    registry: str | None = Field(None, description="Where the registry is, without a password.")
    grpc: str | None = Field(None, description="HOST:PORT of Triton.")
    http: str | None = Field(None, description="HOST:PORT of Triton.")
    metrics: str | None = Field(None, description="HOST:PORT of Triton's metrics.")
    gateway: str | None = Field(None, description="HOST:PORT of the gateway.")
    server: int | None = Field(None, gt=0, description="Process id of Triton.")
    current: Served | None = None
    previous: Served | None = Field(None, description="Kept loaded, so that going back takes seconds.")
    refused: tuple[Refused, ...] = ()
    health: Health | None = None
    counts: Counts = Counts()
    notices: tuple[str, ...] = Field((), description="The last things that were healed or refused, oldest first.")
    changed: str = Field("", description="When this was written; UTC, ISO 8601.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.current is not None and self.previous is not None and self.current.version == self.previous.version:
            raise ValueError(f"version {self.current.version} is both current and previous")
        if self.mode == "triton" and self.why:
            raise ValueError("mode triton needs no reason why")
        return self

    def with_changes(self, **changes: Any) -> ServingState:
        """A copy with other values, checked as a whole."""
        return ServingState.model_validate({**dict(self), **changes})

    def counted(self, **more: int) -> ServingState:
        """A copy whose counts are higher by these."""
        counts = self.counts.model_dump()
        return self.with_changes(counts=Counts(**{**counts, **{name: counts[name] + n for name, n in more.items()}}))

    def noted(self, text: str, most: int = 20) -> ServingState:
        """A copy with one more notice; the oldest go."""
        return self.with_changes(notices=(*self.notices, f"{now()} {text}")[-most:])


def default_directory() -> Path:
    """The folder of a server for which none was named: ``serve`` in DUBFLOW_HOME."""
    return Settings().home / "serve"


def read_state(directory: Path) -> ServingState:
    """What is served by the server of ``directory``.

    Raises:
        BadInput: ``serving.no_state``, ``serving.bad_state``.
    """
    path = Path(directory) / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(
            "serving.no_state", f"{directory} belongs to no server (it has no {FILE}).", "Start one: dubflow serve up."
        ) from error
    except (OSError, ValueError) as error:
        raise _bad(path, str(error)) from error
    try:
        return ServingState.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise _bad(path, f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from error


def write_state(directory: Path, state: ServingState) -> ServingState:
    """Write ``state`` whole, with the time of writing; who changes what stands there uses :func:`update_state`."""
    stamped = state.with_changes(changed=now())
    write_json(Path(directory) / FILE, stamped.model_dump(mode="json"))
    return stamped


def update_state(directory: Path, change: Callable[[ServingState], ServingState]) -> ServingState:
    """Change what stands there, alone; ``change`` gets the latest state and must be quick.

    Raises:
        BadInput: as :func:`read_state`. OurFault: ``serving.state_busy``.
    """
    busy = OurFault(
        "serving.state_busy",
        f"{Path(directory) / FILE} has been held by another process for {_PATIENCE_S:g} s.",
        "See what runs there: dubflow serve status.",
    )
    with alone_in(Path(directory) / _WRITING, busy, _PATIENCE_S):
        return write_state(directory, change(read_state(directory)))


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _bad(path: Path, problem: str) -> BadInput:
    return BadInput(
        "serving.bad_state", f"{path} does not describe a server: {problem}.", "Stop it and start it again."
    )
