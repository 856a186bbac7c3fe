"""Which engine a worker dubs with: the version that is served now, through Triton or in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dubflow.dubbing.engine import Engine
from dubflow.errors import OurFault
from dubflow.serving.state import Served, ServingState, read_state

DEADLINE_S = 3600.0


def open_engine(state_dir: Path, *, deadline_s: float = DEADLINE_S) -> Engine[Any]:
    """The engine of the current version; cheap, so that every job asks anew and gets what is served then.

    Args:
        deadline_s: of a call of Triton.

    Raises:
        BadInput: ``serving.no_state``, ``serving.bad_state``; what reading the model says, in-process.
        OurFault: ``serving.nothing_served``, ``serving.no_key``.
    """
    state = read_state(state_dir)
    if state.current is None:
        raise OurFault("serving.nothing_served", "No version is served yet.", "Wait until the first one is loaded.")
    return engine_for(state_dir, state, state.current, deadline_s=deadline_s)


def engine_for(state_dir: Path, state: ServingState, served: Served, *, deadline_s: float = DEADLINE_S) -> Engine[Any]:
    """The engine of a version that is loaded, whether current or not.

    Raises:
        OurFault: ``serving.nothing_served`` where Triton has no address, ``serving.no_key``.
    """
    if state.mode == "in_process":
        from dubflow.serving.inprocess import kept_engine

        return kept_engine(served.folder, served.package)
    if state.grpc is None:
        raise OurFault("serving.nothing_served", "Triton is not running yet.", "Wait until it is.")
    from dubflow.serving.launcher import read_key
    from dubflow.serving.triton_engine import TritonEngine

    return TritonEngine(
        state.grpc,
        read_key(state_dir),
        model=served.kind,
        version=served.version,
        engine_id=served.engine,
        world=served.world,
        languages=served.languages,
        deadline_s=deadline_s,
    )
