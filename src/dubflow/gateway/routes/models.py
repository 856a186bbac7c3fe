"""``/v1/models``: what is served, and who becomes champion; the server follows the registry within seconds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import Field

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.errors import WrongUse
from dubflow.gateway.access import Caller, Promoter, Reader
from dubflow.gateway.body import StrictRoute
from dubflow.gateway.parts import Parts, parts_of
from dubflow.gateway.threads import reading, slowly
from dubflow.gateway.views import ChangeView, ModelsView, ServedView
from dubflow.serving.state import Served, read_state

if TYPE_CHECKING:
    from dubflow.registry.history import Entry
    from dubflow.registry.models import Registry

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)


class Promotion(Strict):
    """Which version becomes champion, and why it may."""

    version: int | str = Field("challenger", description="Number, or challenger or previous.")
    verdict: dict[str, Any] = Field(description="The gate's signed verdict: the content of its file.")
    reason: str = Field("", max_length=500, description="Stands in the history.")
    seen: int | None = Field(None, description="Champion that was decided about; refused where it is another by now.")
    dry_run: bool = Field(False, description="Check everything, change nothing.")


class Rollback(Strict):
    """Back to the champion before."""

    reason: str = Field("", max_length=500, description="Stands in the history.")
    seen: int | None = Field(None, description="Champion to get rid of; refused where it is another by now.")
    dry_run: bool = Field(False, description="Check everything, change nothing.")


@router.get("", summary="What is served")
async def served(request: Request, caller: Reader) -> ModelsView:
    """The version that speaks, the one before it, and versions that were refused."""
    state = await reading(read_state, parts_of(request).settings.state)
    return ModelsView(
        model=state.model,
        mode=state.mode,
        current=_served(state.current),
        previous=_served(state.previous),
        refused=tuple({"version": one.version, "code": one.code, "at": one.at} for one in state.refused),
    )


@router.post("/promote", summary="Make a version champion")
async def promote(request: Request, caller: Promoter, asked: Annotated[Promotion, Body()]) -> ChangeView:
    """By a verdict of the gate that says promote, about these very bytes, against the champion in use, and signed.

    The same rules as `dubflow models promote`; nobody overrides the gate over HTTP.
    """
    return _changed(await slowly(_promote, parts_of(request), caller, asked))


@router.post("/rollback", summary="Put the champion before this one back")
async def rollback(request: Request, caller: Promoter, asked: Annotated[Rollback, Body()]) -> ChangeView:
    """No verdict is asked: it was champion before. It is still loaded, so this takes seconds."""
    return _changed(await slowly(_rollback, parts_of(request), caller, asked))


def _promote(parts: Parts, caller: Caller, asked: Promotion) -> Entry:
    from dubflow.registry.licences import load_licence_policy
    from dubflow.registry.promoting import Rules
    from dubflow.registry.promoting import promote as promoted

    settings = parts.settings
    if not settings.verdict_keys:
        # Here a verdict comes from the network: without a signature anybody could have written it.
        raise WrongUse(
            "gateway.no_verdict_keys",
            "This service knows no key that verdicts must be signed with, so it promotes nothing over HTTP.",
            "Set DUBFLOW_GATEWAY_VERDICT_KEYS, or promote with: dubflow models promote.",
        )
    licences = None if settings.licences is None else load_licence_policy(settings.licences)
    rules = Rules(settings.package_keys, settings.verdict_keys, licences, settings.policies or None)
    with tempfile.TemporaryDirectory(dir=settings.spool) as folder:
        verdict = Path(folder) / "verdict.json"
        write_json(verdict, asked.verdict)
        return promoted(
            _registry(parts),
            settings.model,
            asked.version,
            verdict,
            by=caller.name,
            rules=rules,
            reason=asked.reason,
            seen=asked.seen,
            dry_run=asked.dry_run,
        )


def _rollback(parts: Parts, caller: Caller, asked: Rollback) -> Entry:
    from dubflow.registry.promoting import rollback as rolled_back

    registry, model = _registry(parts), parts.settings.model
    return rolled_back(registry, model, by=caller.name, reason=asked.reason, seen=asked.seen, dry_run=asked.dry_run)


def _registry(parts: Parts) -> Registry:
    from dubflow.registry.models import open_registry

    return open_registry(parts.settings.registry, note=_say_nothing)


def _say_nothing(text: str) -> None:
    """The registry's notes are for terminals."""


def _changed(entry: Entry) -> ChangeView:
    return ChangeView(
        model=entry.model,
        action=entry.action,
        champion=entry.champion,
        before=entry.before,
        by=entry.by,
        at=entry.at,
        reason=entry.reason,
    )


def _served(one: Served | None) -> ServedView | None:
    if one is None:
        return None
    fields = ("version", "package", "engine", "world", "languages", "since")
    return ServedView(**{name: getattr(one, name) for name in fields})
