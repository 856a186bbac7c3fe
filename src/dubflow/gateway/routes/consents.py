"""``/v1/consents`` and ``/v1/voices``: who agreed that their voice is cloned, and voices that need nobody's consent."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request
from pydantic import Field

from dubflow.config import Strict
from dubflow.gateway.access import Reader, Submitter
from dubflow.gateway.body import StrictRoute
from dubflow.gateway.consent import Consent, ConsentEvent, ConsentTerms
from dubflow.gateway.parts import parts_of
from dubflow.gateway.stock_voices import DEFAULT, STOCK
from dubflow.gateway.threads import reading, writing

router = APIRouter(tags=["voices"], route_class=StrictRoute)
_EXAMPLE = {
    "person": "Maria Example",
    "how": "Signed form, kept by the legal department under 2026-118.",
    "given": "2026-01-15T10:00:00Z",
    "scope": "Dubbing of the series The Lighthouse, seasons 1 and 2.",
    "languages": ["en", "fr"],
    "expires": "2099-01-15T00:00:00Z",
    "reference_sha256": "a" * 64,
    "recorded_by": "J. Example, production",
}


class ConsentView(Strict):
    """A record, and what became of it."""

    id: str = Field(description="Names it in requests to dub.")
    terms: ConsentTerms
    recorded: str = Field(description="UTC, ISO 8601.")
    revoked: str | None
    history: tuple[ConsentEvent, ...] = Field(description="Oldest first; only ever added to.")


class ConsentPage(Strict):
    """Records, newest first."""

    consents: tuple[ConsentView, ...]
    next: str | None = Field(description="Send it back as `after` for older ones; null: there are none.")


class VoiceView(Strict):
    """A stock voice."""

    name: str
    description: str
    synthetic: bool = Field(True, description="It belongs to nobody.")
    default: bool


class VoicesView(Strict):
    """All of them."""

    voices: tuple[VoiceView, ...]


@router.post("/v1/consents", status_code=201, summary="Record a consent")
async def record(
    request: Request, caller: Submitter, terms: Annotated[ConsentTerms, Body(examples=[_EXAMPLE])]
) -> ConsentView:
    """Who agreed to what, bound to one recording by its SHA-256 (`POST /v1/uploads` tells it).

    For a clip's own voice (`reference: self`) it is the digest of the clip.
    """
    return _view(await writing(parts_of(request).consents.record, caller.tenant, caller.key.id, terms))


@router.get("/v1/consents", summary="Consents, newest first")
async def list_consents(
    request: Request,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=64, pattern="^[a-z0-9_]*$")] = None,
) -> ConsentPage:
    """A page of the tenant's records; `next` of a page is `after` of the following one."""
    found = await reading(parts_of(request).consents.list, caller.tenant, limit + 1, after)
    page = found[:limit]
    return ConsentPage(consents=tuple(map(_view, page)), next=page[-1].id if len(found) > limit else None)


@router.get("/v1/consents/{consent}", summary="A consent and its history")
async def show(request: Request, caller: Reader, consent: str) -> ConsentView:
    """What was agreed, and whether it still holds."""
    return _view(await reading(parts_of(request).consents.get, caller.tenant, consent))


@router.delete("/v1/consents/{consent}", summary="Revoke a consent")
async def revoke(
    request: Request,
    caller: Submitter,
    consent: str,
    reason: Annotated[str, Query(max_length=500, description="Kept in the history.")] = "",
) -> ConsentView:
    """No dub speaks with this voice any more: later ones are refused, running ones stop at their next look.

    The record stays, with its history. Revoking again changes nothing.
    """
    return _view(await writing(parts_of(request).consents.revoke, caller.tenant, consent, caller.key.id, reason))


@router.get("/v1/voices", summary="Stock voices")
async def voices(caller: Reader) -> VoicesView:
    """Synthetic voices, which need nobody's consent."""
    return VoicesView(
        voices=tuple(
            VoiceView(name=name, description=description, default=name == DEFAULT)
            for name, (description, _) in STOCK.items()
        )
    )


def _view(consent: Consent) -> ConsentView:
    return ConsentView(
        id=consent.id,
        terms=consent.terms,
        recorded=consent.recorded.isoformat(timespec="seconds"),
        revoked=None if consent.revoked is None else consent.revoked.isoformat(timespec="seconds"),
        history=consent.history,
    )
