"""Files of results to clients, whole or a range of bytes (RFC 9110, section 14), from whatever storage holds them.

One range is served; a request for several gets the whole file, as the RFC allows. A file's digest is its entity tag,
so a player that comes back in the middle (``If-Range``) never joins two different files.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from dubflow.errors import BadInput, WrongUse
from dubflow.gateway.jobs.result import OutputFile
from dubflow.gateway.threads import on_disk
from dubflow.storage import Objects

_CHUNK = 2**18
_RANGE = re.compile(r"bytes=\s*(\d{0,15})-(\d{0,15})\s*")


async def deliver(request: Request, files: Objects, file: OutputFile, name: str) -> Response:
    """The answer with a file, or with the part that was asked for.

    Args:
        name: as a client saves it; ours, never a client's.

    Raises:
        BadInput: ``gateway.expired`` when the file is no longer kept.
        WrongUse: ``gateway.bad_range``.
    """
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.sha256}"',
        "Content-Disposition": f'inline; filename="{name}"',
        "Cache-Control": "private, no-cache",
    }
    if _same(request.headers.get("if-none-match"), file):
        return Response(status_code=304, headers=headers)
    first, stop = _span(request, file)
    whole = (first, stop) == (0, file.bytes)
    if not whole:
        headers["Content-Range"] = f"bytes {first}-{stop - 1}/{file.bytes}"
    headers["Content-Length"] = str(stop - first)
    # Opened before anything is answered: what is gone must be told, not begun.
    source = await on_disk(_opened, files, file)
    return _Sent(source, first, stop, 200 if whole else 206, headers, file.media_type)


class _Sent(StreamingResponse):
    """A part of an open file, which is closed however the sending ends."""

    def __init__(self, source: Any, first: int, stop: int, status: int, headers: dict[str, str], kind: str) -> None:
        super().__init__(_pieces(source, first, stop), status, headers, kind)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._source.close()


def _span(request: Request, file: OutputFile) -> tuple[int, int]:
    """First byte and the one after the last."""
    text, only_if = request.headers.get("range"), request.headers.get("if-range")
    if text is None or (only_if is not None and only_if != f'"{file.sha256}"'):
        return 0, file.bytes
    found = _RANGE.fullmatch(text)
    if found is None or found.groups() == ("", ""):
        return 0, file.bytes  # other units, several ranges: to be ignored
    begin, end = found.groups()
    if begin == "":  # the last so many bytes
        first, stop = max(0, file.bytes - int(end)), file.bytes
    else:
        first, stop = int(begin), file.bytes if end == "" else min(file.bytes, int(end) + 1)
    if first >= stop:
        raise WrongUse(
            "gateway.bad_range", f"The file has {file.bytes} bytes; none of those asked for.", "", bytes=file.bytes
        )
    return first, stop


def _same(tags: str | None, file: OutputFile) -> bool:
    known = [] if tags is None else [one.strip().removeprefix("W/") for one in tags.split(",")]
    return f'"{file.sha256}"' in known or known == ["*"]


def _opened(files: Objects, file: OutputFile) -> Any:
    if files.find(file.key) is None:
        raise BadInput("gateway.expired", "The file is no longer kept.", "Dub the clip again.")
    with files.asked("read"):
        return files.files.open_input_file(files.at(file.key))


async def _pieces(source: Any, first: int, stop: int) -> AsyncIterator[bytes]:
    await on_disk(source.seek, first)
    while first < stop:
        piece = await on_disk(source.read, min(_CHUNK, stop - first))
        if not piece:
            return
        first += len(piece)
        yield bytes(piece)
