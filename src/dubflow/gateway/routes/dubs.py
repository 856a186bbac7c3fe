"""``/v1/dubs``: send a clip, follow it, fetch what came of it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from dubflow.dubbing.request import SELF
from dubflow.errors import WrongUse
from dubflow.gateway.access import Caller, Reader, Submitter
from dubflow.gateway.body import as_model, json_body
from dubflow.gateway.errors import trace_of
from dubflow.gateway.events import HEADERS, MEDIA_TYPE, last_event, stream
from dubflow.gateway.jobs.job import ENDED, JobEvent, JobState
from dubflow.gateway.jobs.request import JobRequest
from dubflow.gateway.limits import Slots, admit
from dubflow.gateway.parts import Parts, parts_of
from dubflow.gateway.receiving import receive_form
from dubflow.gateway.routes.uploads import FORM, keep, kind_of
from dubflow.gateway.submission import DubSubmission, form_content, job_request, said, voice_of
from dubflow.gateway.threads import looking, reading, writing
from dubflow.gateway.uploads import Upload, check_clip, check_reference
from dubflow.gateway.views import DubPage, DubView, dub_view
from dubflow.gateway.webhook_target import read_target

router = APIRouter(prefix="/v1/dubs", tags=["dubs"])
_SUBTITLE_BYTES = 2**20
_KEY = 200
_ID = 64


@router.post(
    "",
    status_code=202,
    summary="Dub a clip",
    responses={200: {"model": DubView, "description": "It was taken on before, under the same `Idempotency-Key`."}},
)
async def submit(
    request: Request,
    response: Response,
    caller: Submitter,
    idempotency: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description="The same key and request again: the same dub, not another one."),
    ] = None,
) -> DubView:
    """As JSON, with the key of an upload; or as a form, with the files themselves.

    A dub that was taken on is done once. With an `Idempotency-Key` the request can be sent again safely: the answer is
    then 200 with the same dub.
    """
    parts = parts_of(request)
    once = _checked_key(idempotency)
    if once is None or not await reading(parts.jobs.knows, caller.tenant, once):
        admit(await reading(parts.jobs.counts, ended=False), caller.tenant, parts.settings)
    asked = await (_from_form if kind_of(request) == FORM else _from_json)(request, parts, caller)
    job = await _planned(parts, caller, asked)
    made = await writing(
        parts.jobs.submit,
        caller.tenant,
        job,
        key_id=caller.key.id,
        idempotency=once,
        trace=trace_of(request),
        clip_s=asked.clip.media.seconds,
    )
    response.status_code = 200 if made.found else 202
    response.headers["Location"] = f"/v1/dubs/{made.job.id}"
    return dub_view(made.job)


@router.get("", summary="Dubs, newest first")
async def list_dubs(
    request: Request,
    caller: Reader,
    state: JobState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=_ID, pattern="^[a-z0-9_]*$")] = None,
) -> DubPage:
    """A page of the tenant's dubs; `next` of a page is `after` of the following one."""
    jobs = await reading(parts_of(request).jobs.list, caller.tenant, state, limit + 1, after)
    page = jobs[:limit]
    return DubPage(dubs=tuple(map(dub_view, page)), next=page[-1].id if len(jobs) > limit else None)


@router.get("/{dub}", summary="How a dub stands")
async def show(request: Request, caller: Reader, dub: str) -> DubView:
    """State, stage, percent and estimate."""
    return dub_view(await reading(parts_of(request).jobs.get, caller.tenant, dub))


@router.get(
    "/{dub}/events",
    summary="Follow a dub",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}}, 204: {"description": "Nothing will follow."}},
)
async def follow(
    request: Request,
    caller: Reader,
    dub: str,
    seen: Annotated[str | None, Header(alias="Last-Event-ID", description="Id of the last event that came.")] = None,
) -> Response:
    """Server-sent events: `progress` with the dub as it is, last one named after the state in which it ended."""
    parts = parts_of(request)
    after = last_event(seen)
    job = await reading(parts.jobs.get, caller.tenant, dub)
    if job.state in ENDED and after >= job.revision:
        return Response(status_code=204)  # a client that is told so does not come back

    async def look(number: int) -> tuple[JobEvent, ...]:
        return await reading(parts.jobs.watch, caller.tenant, dub, number)

    events = stream(look, _shown, min(after, job.revision), parts.settings)
    return _Held(events, parts.streaming, caller.tenant)


@router.post("/{dub}/cancel", summary="Cancel a dub")
async def cancel(request: Request, caller: Submitter, dub: str) -> DubView:
    """One that waits has ended at once, one that runs as soon as its worker sees it; one that ended stays as it is."""
    return dub_view(await writing(parts_of(request).jobs.cancel, caller.tenant, dub))


@router.delete("/{dub}", summary="Cancel a dub")
async def delete(request: Request, caller: Submitter, dub: str) -> DubView:
    """As POST to its `cancel`."""
    return await cancel(request, caller, dub)


@dataclass(frozen=True)
class _Asked:
    """A submission with the files that it is about."""

    submission: DubSubmission
    clip: Upload
    reference: Upload | None
    notices: list[str]


class _Held(StreamingResponse):
    """An event stream, which holds one of its tenant's slots while it is sent."""

    def __init__(self, content: AsyncIterator[bytes], slots: Slots, tenant: str) -> None:
        super().__init__(content, media_type=MEDIA_TYPE, headers=HEADERS)
        self._slots, self._tenant = slots, tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; refused where the tenant has no slot left, before anything is sent."""
        with self._slots.one(self._tenant):
            await super().__call__(scope, receive, send)


def _shown(event: JobEvent) -> dict[str, Any]:
    return dub_view(event.job).model_dump(mode="json")


async def _from_json(request: Request, parts: Parts, caller: Caller) -> _Asked:
    """What JSON asks, with the uploads that it names."""
    asked = await json_body(request, DubSubmission)
    clip = await writing(parts.uploads.get, caller.tenant, asked.clip)
    return _Asked(asked, clip, await _named(parts, caller, asked), [])


async def _from_form(request: Request, parts: Parts, caller: Caller) -> _Asked:
    """What a form asks, with its files kept and the uploads that it names."""
    settings = parts.settings
    sizes = {"clip": settings.clip_bytes, "reference": settings.clip_bytes, "subtitles": _SUBTITLE_BYTES}
    with parts.uploading.one(caller.tenant), await receive_form(request, settings, sizes) as form:
        content, notices = await looking(form_content, form, settings.json_depth)
        files = [name for name in ("clip", "reference") if name in form.files]
        found = {name: await keep(parts, caller.tenant, form.files[name]) for name in files}
    asked = as_model(DubSubmission, content | {name: one.key for name, one in found.items()})
    clip = found["clip"] if "clip" in found else await writing(parts.uploads.get, caller.tenant, asked.clip)
    reference = found["reference"] if "reference" in found else await _named(parts, caller, asked)
    return _Asked(asked, clip, reference, notices)


async def _named(parts: Parts, caller: Caller, asked: DubSubmission) -> Upload | None:
    if asked.reference is None or asked.reference == SELF:
        return None
    return await writing(parts.uploads.get, caller.tenant, asked.reference)


async def _planned(parts: Parts, caller: Caller, asked: _Asked) -> JobRequest:
    """The job, with everything checked that can be checked before it is done."""
    if asked.submission.webhook is not None:
        read_target(asked.submission.webhook, parts.settings.webhook_hosts)
    notices = [*check_clip(asked.clip.media, parts.settings), *asked.notices]
    if asked.reference is not None:
        notices += check_reference(asked.reference.media, parts.settings)
    voice, told = voice_of(asked.submission, asked.reference)
    if asked.submission.consent is not None:
        heard = asked.clip if asked.reference is None else asked.reference
        check = parts.consents.check
        await reading(check, caller.tenant, asked.submission.consent, heard.sha256, asked.submission.language)

    def plan() -> JobRequest:
        with tempfile.TemporaryDirectory(dir=parts.settings.spool) as folder:
            segments, noticed = said(asked.submission, parts.settings, Path(folder))
        return job_request(asked.submission, asked.clip, voice, segments, [*notices, *told, *noticed])

    return await looking(plan)


def _checked_key(text: str | None) -> str | None:
    if text is not None and not (0 < len(text) <= _KEY and text.isascii() and text.isprintable()):
        raise WrongUse(
            "gateway.bad_idempotency_key",
            f"An Idempotency-Key has 1 to {_KEY} printable ASCII characters.",
            "A random UUID will do.",
        )
    return text
