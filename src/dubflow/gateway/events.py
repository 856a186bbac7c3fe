"""A job's progress as server-sent events (WHATWG HTML, section 9.2).

Each event carries the job as it is, under a number that grows with every change of it. A client that lost the
connection sends the last number back (``Last-Event-ID``) and gets what is new; what changed in between comes as one
event. Comments keep the connection alive while nothing changes; the stream ends with the job.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio

from dubflow.errors import DubflowError, WrongUse
from dubflow.gateway.errors import content_of
from dubflow.gateway.jobs.job import JobEvent
from dubflow.gateway.settings import GatewaySettings

MEDIA_TYPE = "text/event-stream"
HEADERS = {"X-Accel-Buffering": "no"}  # proxies that collect answers would hold events back
_LOOK_S = 0.1
_SLOWEST_LOOK_S = 1.0
_SLOWER = 1.3
_RETRY_MS = 1000
_MOST_DIGITS = 15

Look = Callable[[int], Awaitable[tuple[JobEvent, ...]]]


async def stream(
    look: Look,
    shown: Callable[[JobEvent], dict[str, Any]],
    after: int,
    settings: GatewaySettings,
    *,
    pause_s: float = _LOOK_S,
) -> AsyncIterator[bytes]:
    """The events of a job.

    Args:
        look: what is new after an event. shown: what a client is told of an event. after: last event it has seen.
        pause_s: between two looks while something changes; they grow longer while nothing does.
    """
    yield f"retry: {_RETRY_MS}\n\n".encode()
    began = spoke = time.monotonic()
    pause = pause_s
    while True:
        try:
            found = await look(after)
        except DubflowError as error:
            # A busy database passes; whatever else it is, the client is told and may come back.
            if error.code != "gateway.database_busy":
                yield _event("error", None, content_of(error))
                return
            found = ()
        for one in found:
            after, spoke = one.number, time.monotonic()
            yield _event(one.job.state if one.ended else "progress", one.number, shown(one))
            if one.ended:
                return
        now = time.monotonic()
        if now - began > settings.stream_s:
            return  # the client comes back with the last number
        if now - spoke > settings.heartbeat_s:
            spoke = now
            yield b": still here\n\n"
        pause = pause_s if found else min(_SLOWEST_LOOK_S, pause * _SLOWER, settings.heartbeat_s)
        await anyio.sleep(pause)


def last_event(header: str | None) -> int:
    """The number in ``Last-Event-ID``; 0 without one.

    Raises:
        WrongUse: ``gateway.bad_event_id``.
    """
    if not header:
        return 0
    if not header.isascii() or not header.isdecimal() or len(header) > _MOST_DIGITS:
        raise WrongUse("gateway.bad_event_id", "Last-Event-ID is not a number.", "Send the last event's id back.")
    return int(header)


def _event(name: str, number: int | None, content: dict[str, Any]) -> bytes:
    # JSON has no line feed of its own, so one data line holds it.
    identity = "" if number is None else f"id: {number}\n"
    return f"{identity}event: {name}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n".encode()
