"""Around every request: bounds on its body in bytes and time, headers on every answer, no stack to anybody.

A body is bounded while it is read (:class:`Bounds`), so a header that lies changes nothing; routes that take uploads
lift the bounds with :func:`allow`. The framework never sees an unexpected exception: it becomes ``gateway.internal``.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dubflow.errors import DubflowError, OurFault, WrongUse
from dubflow.gateway.errors import answer, fault_of, status_of, too_large
from dubflow.gateway.settings import GatewaySettings

_KEY = "dubflow.bounds"
_BODY_S = 30.0
_WARM_UP_S = 10.0
_ALWAYS = ("/healthz", "/metrics")  # a service that is busy is alive, and is watched above all
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_log = logging.getLogger("dubflow.gateway")


@dataclass
class Bounds:
    """What a request's body may cost.

    Attributes:
        bytes: at most. idle_s: longest silence. total_s: longest time for all of it.
        least_rate: bytes a second on average, after a while; 0: none.
    """

    bytes: int
    idle_s: float
    total_s: float
    least_rate: float = 0.0


def allow(request: Request, most: int, idle_s: float, total_s: float, least_rate: float) -> None:
    """Give the body of a request other bounds than ordinary ones, before it is read."""
    request.scope[_KEY] = Bounds(most, idle_s, total_s, least_rate)


class Guard:
    """The outermost middleware of ours."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self.app, self.settings, self.open = app, settings, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self.open += 1
        try:
            if self.open > self.settings.connections and scope["path"] not in _ALWAYS:
                raise OurFault("gateway.busy", "Too many requests at the same time.", "Try again in a moment.")
            await self.app(scope, self._bounded(scope, receive), sending)
        except ClientDisconnect:
            return
        except Exception as error:
            fault = self._noted(scope, error)
            if not started:
                await answer(fault, scope["state"].get("trace_id"))(scope, receive, sending)
        finally:
            self.open -= 1

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        scope[_KEY] = Bounds(self.settings.body_bytes, self.settings.upload_idle_s, _BODY_S)
        began = time.monotonic()
        got, over = 0, False

        async def receiving() -> Message:
            nonlocal got, over
            if over:  # what still comes is the news that the client went away, for which a stream waits long
                return await receive()
            bounds: Bounds = scope[_KEY]
            spent = time.monotonic() - began
            try:
                async with asyncio.timeout(max(0.0, min(bounds.idle_s, bounds.total_s - spent))):
                    message = await receive()
            except TimeoutError as error:
                raise _too_slow() from error
            if message["type"] != "http.request":
                return message
            over = not message.get("more_body", False)
            got += len(message.get("body", b""))
            if got > bounds.bytes:
                raise too_large(bounds.bytes)
            spent = time.monotonic() - began
            if not over and spent > _WARM_UP_S and got < bounds.least_rate * spent:
                raise _too_slow()
            return message

        return receiving

    def _noted(self, scope: Scope, error: Exception) -> DubflowError:
        fault = fault_of(error)
        if fault is not error and status_of(fault) == 500:
            # Where, and of which kind; what it says may hold texts of clients, and stays out of logs.
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
            told = {"code": fault.code, "trace_id": scope["state"].get("trace_id"), "where": where}
            _log.error("unexpected failure", extra=told | {"kind": type(error).__name__})
        return fault


def _too_slow() -> WrongUse:
    return WrongUse("gateway.upload_too_slow", "The body came too slowly or not at all.", "Send it in one go.")
