"""``/v1/uploads``: clips and recordings of voices, once, under a key that requests name."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from dubflow.errors import WrongUse
from dubflow.gateway.access import Submitter
from dubflow.gateway.parts import Parts, parts_of
from dubflow.gateway.receiving import Form, Received, receive_file, receive_form
from dubflow.gateway.threads import looking, on_disk, writing
from dubflow.gateway.uploads import Upload, check_clip, check_reference, look_at
from dubflow.gateway.views import UploadView, upload_view

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
FORM = "multipart/form-data"
_REFUSED = ("application/json", "application/x-www-form-urlencoded", "text/html")
_FILE: dict[str, Any] = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {
        "application/octet-stream": {"schema": _FILE},
        FORM: {"schema": {"type": "object", "required": ["file"], "properties": {"file": _FILE}}},
    },
}


@router.post("", status_code=201, openapi_extra={"requestBody": _BODY}, summary="Upload a clip or a recording")
async def upload(request: Request, caller: Submitter) -> UploadView:
    """The file as the body, or as the part `file` of a form. It is looked at before it has a key.

    The same bytes get the same key again. A file that no dub names is removed after the days of retention.
    """
    parts = parts_of(request)
    kind = kind_of(request)
    if kind in _REFUSED:
        raise WrongUse(
            "gateway.content_type", "The body is no media file.", "Send the file as application/octet-stream or a form."
        )
    with parts.uploading.one(caller.tenant):
        if kind == FORM:
            with await receive_form(request, parts.settings, {"file": parts.settings.clip_bytes}) as form:
                return await _taken(parts, caller.tenant, form)
        received = await receive_file(request, parts.settings)
        try:
            return _view(parts, await keep(parts, caller.tenant, received))
        finally:
            await on_disk(received.discard)


async def keep(parts: Parts, tenant: str, received: Received) -> Upload:
    """Look at a file and keep it; one that is known is not looked at again.

    Raises:
        BadInput: what reading it says.
    """
    known = await writing(parts.uploads.known, tenant, received)
    if known is not None:
        return known
    media = await looking(look_at, received, parts.settings)
    return await on_disk(parts.uploads.add, tenant, received, media)


def kind_of(request: Request) -> str:
    """The media type of a request's body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _taken(parts: Parts, tenant: str, form: Form) -> UploadView:
    if list(form.files) != ["file"] or form.texts:
        raise WrongUse("gateway.bad_form", "The form has not one part, the file.", "Send it as curl -F file=@CLIP.")
    return _view(parts, await keep(parts, tenant, form.files["file"]))


def _view(parts: Parts, found: Upload) -> UploadView:
    """The upload; refused where it is too long for anything, a notice where it is a little too long."""
    check = check_clip if found.media.picture_s is not None else check_reference
    return upload_view(found, check(found.media, parts.settings))
