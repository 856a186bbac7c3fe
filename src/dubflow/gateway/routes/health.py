"""Whether the service lives, whether it is ready, and whether it really dubs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import text
from starlette.responses import JSONResponse

from dubflow.errors import DubflowError, OurFault
from dubflow.gateway.access import Admin
from dubflow.gateway.parts import Parts, parts_of
from dubflow.gateway.threads import reading, slowly
from dubflow.gateway.views import HealthView
from dubflow.serving.state import read_state

router = APIRouter(tags=["health"])
_FINE = "fine"
_NOT_FINE: dict[int | str, dict[str, Any]] = {503: {"model": HealthView, "description": "Something is wrong."}}
_PROBE_KEY = "health/ready"
_PATIENCE_S = 2.0


@router.get("/healthz", summary="Whether the process lives")
async def live() -> HealthView:
    """Always fine where it is answered at all."""
    return HealthView(fine=True, checks={})


@router.get("/readyz", summary="Whether dubs can be taken on", response_model=HealthView, responses=_NOT_FINE)
async def ready(request: Request) -> JSONResponse:
    """Database, storage and served version; 503 with what is wrong while one of them is not there."""
    checks = await reading(_checks, parts_of(request))
    fine = all(one == _FINE for one in checks.values())
    return JSONResponse(HealthView(fine=fine, checks=checks).model_dump(), 200 if fine else 503)


def _checks(parts: Parts) -> dict[str, str]:
    """Every check by name: fine, or the code of what is wrong."""
    todo = {"database": _database, "storage": _storage, "model": _model}
    return {name: _outcome(check, parts) for name, check in todo.items()}


def _outcome(check: Callable[[Parts], None], parts: Parts) -> str:
    try:
        check(parts)
    except DubflowError as error:
        return error.code
    return _FINE


def _database(parts: Parts) -> None:
    parts.database.read(lambda connection: connection.execute(text("SELECT 1")).scalar(), patience_s=_PATIENCE_S)


def _storage(parts: Parts) -> None:
    parts.files.put(_PROBE_KEY, b"ready")
    if parts.files.find(_PROBE_KEY) is None:
        raise OurFault("gateway.storage_forgets", "What was written is not there.", "")


def _model(parts: Parts) -> None:
    if read_state(parts.settings.state).current is None:
        raise OurFault("gateway.no_model", "No version is loaded.", "See `dubflow serve status`.")


@router.get(
    "/v1/health/deep",
    summary="Whether it really dubs",
    response_model=HealthView,
    responses=_NOT_FINE,
)
async def deep(request: Request, caller: Admin) -> JSONResponse:
    """A real inference: the current version dubs the golden clip, and the sound is checked."""
    began = time.monotonic()
    try:
        await slowly(_dub, parts_of(request))
    except DubflowError as error:
        checks = {"inference": error.code}
    else:
        checks = {"inference": _FINE}
    fine = checks["inference"] == _FINE
    seconds = round(time.monotonic() - began, 3)
    return JSONResponse(HealthView(fine=fine, checks=checks, seconds=seconds).model_dump(), 200 if fine else 503)


def _dub(parts: Parts) -> None:
    from dubflow.gateway.speakers import speakers_of

    proof = speakers_of(parts.settings)().proof
    assert proof is not None  # whoever is served can be asked
    proof()
