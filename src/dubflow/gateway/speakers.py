"""Who dubs the next job: the version that the server of this folder serves, or one of the Tritons of other machines."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from dubflow.errors import WrongUse
from dubflow.gateway.settings import GatewaySettings

if TYPE_CHECKING:  # the API only follows what is served, and need not know how dubs are made
    from dubflow.gateway.jobs.doing import Speaker

_PROOF_S = 20.0
_GOLDEN = "golden.mp4"

_log = logging.getLogger("dubflow.gateway.speakers")


def speakers_of(settings: GatewaySettings) -> Callable[[], Speaker]:
    """Asked before every job.

    Raises:
        WrongUse: ``gateway.no_triton_key``.
    """
    if settings.triton is None:
        return lambda: current_speaker(settings.state)
    _key(settings)
    return lambda: remote_speaker(settings)


def current_speaker(state: Path) -> Speaker:
    """The engine that is served now by the server of a folder, and its version.

    Raises:
        BadInput: ``serving.no_state`` and what opening it says.
    """
    from dubflow.gateway.jobs.doing import Speaker
    from dubflow.serving.engines import open_engine
    from dubflow.serving.golden import dub_golden
    from dubflow.serving.state import read_state

    engine = open_engine(state)
    served = read_state(state)

    def proof() -> object:
        return dub_golden(engine, _PROOF_S)

    for one in (served.current, served.previous):  # a switch may have come between the two lines above
        if one is not None and one.engine == engine.id:
            return Speaker(engine, one.version, one.package, proof)
    return Speaker(engine, proof=proof)


def remote_speaker(settings: GatewaySettings) -> Speaker:
    """One of the Tritons behind ``settings.triton``, which it stays with.

    Raises:
        WrongUse: ``gateway.no_triton_key``, ``serving.bad_address``. OurFault: ``serving.nothing_served``.
    """
    from dubflow.gateway.jobs.doing import Speaker
    from dubflow.serving.engines import DEADLINE_S
    from dubflow.serving.golden import dub_golden, golden_job
    from dubflow.serving.remote import Fleet

    key = _key(settings)
    found = Fleet(settings.triton or "", key).one()
    engine = found.engine(key, DEADLINE_S)

    def proof() -> object:
        return dub_golden(engine, _PROOF_S, golden_job(_golden_clip(settings.scratch_root)))

    return Speaker(engine, found.told.installed.version, found.told.installed.package, proof)


def following(settings: GatewaySettings) -> AbstractContextManager[None]:
    """Keeps the state folder true to the Tritons of other machines, where there are any, for a ``with`` block.

    Raises:
        WrongUse: ``gateway.no_triton_key``.
    """
    if settings.triton is None:
        return nullcontext()
    from dubflow.serving.following import Follower, followed
    from dubflow.serving.remote import Fleet

    return followed(Follower(settings.state, Fleet(settings.triton, _key(settings)), settings.model, _log.warning))


def _golden_clip(scratch: Path) -> Path:
    """The golden clip where the servers see it as well."""
    from dubflow.atomic import atomic_file
    from dubflow.serving.golden import CLIP

    path = scratch / _GOLDEN
    if not path.is_file() or path.stat().st_size != CLIP.stat().st_size:
        with atomic_file(path) as part:
            shutil.copyfile(CLIP, part)
    return path


def _key(settings: GatewaySettings) -> str:
    if settings.triton_key is None:
        raise WrongUse(
            "gateway.no_triton_key",
            "The Tritons of other machines answer nobody without their key.",
            "Set DUBFLOW_GATEWAY_TRITON_KEY to what their DUBFLOW_TRITON_KEY is.",
        )
    return settings.triton_key.get_secret_value()
