"""Errors as HTTP answers: ``{code, message, hint}``, and a status that follows from the code.

What stands in :data:`STATUS` has that status, what the room ``serving`` says 503; any other code has its class's: 400
for wrong use, 422 for material that is not good, 500 for our own faults. Nothing unexpected is ever told to a client:
it gets a trace id to name, and the log has the rest.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from dubflow.errors import BadInput, DubflowError, OurFault, WrongUse
from dubflow.gateway.observing import ERROR_HEADER

STATUS: Mapping[str, int] = {
    "gateway.no_key": 401,
    "gateway.bad_key": 401,
    "gateway.missing_scope": 403,
    "gateway.no_such_job": 404,
    "gateway.no_upload": 404,
    "gateway.no_consent": 404,
    "gateway.no_route": 404,
    "gateway.method_not_allowed": 405,
    "gateway.upload_too_slow": 408,
    "gateway.idempotency_conflict": 409,
    "gateway.not_finished": 409,
    "gateway.job_ended": 409,
    "gateway.expired": 410,
    "gateway.too_large": 413,
    "gateway.content_type": 415,
    "gateway.bad_range": 416,
    "gateway.rate_limited": 429,
    "gateway.too_many_jobs": 429,
    "gateway.too_many_uploads": 429,
    "gateway.too_many_streams": 429,
    "gateway.overloaded": 503,
    "gateway.busy": 503,
    "gateway.database_busy": 503,
    "gateway.disk_full": 507,
    "dubbing.cancelled": 409,
    "media.too_many_bytes": 413,
    "registry.no_model": 404,
    "registry.no_version": 404,
    "registry.lost_race": 409,
    "registry.stale_verdict": 409,
    "registry.already_champion": 409,
    "registry.nothing_before": 409,
    "registry.unreachable": 503,
    "registry.journal_unreachable": 503,
    "registry.unsettled": 503,
}
"""Status by code, where the class alone does not say it."""

_RETRY_AFTER_S = 5
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PATH = re.compile(r"(?<![\w:/.])/(?!v1/)(?:[\w.@+ -]+/)+[\w.@+-]*")

_log = logging.getLogger("dubflow.gateway")


def status_of(error: DubflowError) -> int:
    """The HTTP status of an error."""
    if error.code in STATUS:
        return STATUS[error.code]
    if error.code.startswith("serving."):  # whoever asks did nothing wrong when no server is there
        return 503
    if isinstance(error, WrongUse):
        return 400
    return 422 if isinstance(error, BadInput) else 500


def answer(error: DubflowError, trace: str | None = None) -> Response:
    """An error as an answer; ``Retry-After`` where trying again is worth it."""
    status = status_of(error)
    headers = {ERROR_HEADER: error.code}
    if status in (429, 503):
        headers["Retry-After"] = str(max(1, round(error.details.get("retry_after_s", _RETRY_AFTER_S))))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="dubflow"'
    if error.code == "gateway.bad_range":
        headers["Content-Range"] = f"bytes */{error.details.get('bytes', '*')}"
    if status in (408, 413):
        headers["Connection"] = "close"  # the rest of the body is not read
    if "allow" in error.details:
        headers["Allow"] = str(error.details["allow"])
    return JSONResponse(content_of(error, trace), status, headers)


def content_of(error: DubflowError, trace: str | None = None) -> dict[str, Any]:
    """The body of an answer: no path of this machine, and what could not be UTF-8 replaced."""
    content = {"code": error.code, "message": _plain(error.headline), "hint": _plain(error.hint)}
    if trace is not None:
        content["trace_id"] = trace
    return content


def fault_of(error: BaseException) -> DubflowError:
    """Any exception as an error that a client may be told."""
    if isinstance(error, DubflowError):
        cause = error.__cause__
        full = error.code == "storage.failed" and isinstance(cause, OSError) and cause.errno in _NO_ROOM
        return disk_full() if full else error
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return disk_full()
    if isinstance(error, TimeoutError):
        return OurFault("gateway.busy", "It took too long.", "Try again in a moment.")
    return OurFault(
        "gateway.internal",
        "Something went wrong on our side.",
        "Try again; if it stays, tell whoever runs this service the trace id.",
    )


def disk_full() -> OurFault:
    """The answer where nothing more can be stored."""
    return OurFault(
        "gateway.disk_full", "There is no room left to store this.", "Try again later; nothing of it was kept."
    )


def renamed(error: DubflowError, path: Path, name: str) -> DubflowError:
    """An error about a file under the name that the client knows."""
    told = error.headline.replace(str(path), name).replace(path.name, name)
    return type(error)(error.code, told, error.hint, **error.details)


def too_large(most: int) -> WrongUse:
    """The refusal of a body or file of more than ``most`` bytes."""
    return WrongUse(
        "gateway.too_large", f"More bytes were sent than the limit of {most}.", "Send a smaller one.", limit=most
    )


def trace_of(request: Request) -> str | None:
    """The request's trace id, where the middleware of traces has set one."""
    found = request.scope.get("state", {}).get("trace_id")
    return None if found is None else str(found)


def install(app: FastAPI) -> None:
    """Answer whatever routes raise."""
    app.add_exception_handler(DubflowError, _dubflow)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


async def _dubflow(request: Request, error: Exception) -> Response:
    assert isinstance(error, DubflowError)
    fault = fault_of(error)
    if status_of(fault) >= 500:
        _log.error("request failed", extra={"code": fault.code, "trace_id": trace_of(request)})
    return answer(fault, trace_of(request))


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(invalid(error.errors()), trace_of(request))


async def _http(request: Request, error: Exception) -> Response:
    """What the framework raises itself: unknown routes, methods, bodies that do not read."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, DubflowError):  # ours, raised while the framework read a body
        return await _dubflow(request, error.__cause__)
    return answer(_of_the_framework(error), trace_of(request))


def _of_the_framework(error: HTTPException) -> WrongUse:
    if error.status_code == 404:
        return WrongUse("gateway.no_route", "There is nothing at this address.", "See /openapi.json for what there is.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return WrongUse("gateway.method_not_allowed", "This address knows no such method.", "", allow=allowed)
    return WrongUse("gateway.bad_request", "The request does not read.", "See /openapi.json for what is expected.")


def invalid(errors: Sequence[Any]) -> WrongUse:
    """The error for a body or query that is not as described: names every field, repeats no value."""
    problems = sorted({f"{_where(one['loc'])}: {one['msg']}" for one in errors})
    shown = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
    return WrongUse("gateway.bad_request", f"The request is not as described: {shown}.", "See /openapi.json.")


def _where(place: Sequence[Any]) -> str:
    return ".".join(str(part)[:40] for part in place[:8]) or "body"


def _plain(text: str) -> str:
    """Without control characters, lone surrogates and paths; of a bounded length."""
    text = _PATH.sub(lambda found: found.group().rsplit("/", 1)[-1], text)
    text = "".join(c if c.isprintable() or c == " " else "�" for c in text)
    return text if len(text) <= 2000 else text[:1999] + "…"
