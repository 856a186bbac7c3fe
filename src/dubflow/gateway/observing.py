"""Around every request: its trace, a line in the log, and what is counted. The outermost middleware."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dubflow.gateway.metrics import Meters
from dubflow.gateway.tracing import HEADER, span, trace_from

ERROR_HEADER = "Dubflow-Error"
"""Which error an answer is: set where answers of errors are made."""
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_EVENTS = "text/event-stream"
_GONE = 499  # a client that went away before there was an answer

_log = logging.getLogger("dubflow.gateway.requests")


class Observed:
    """Sees requests come and answers go."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app, self.meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, counted."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        parent = trace_from(Headers(scope=scope).get(HEADER))
        state = scope.setdefault("state", {})
        method = scope["method"] if scope["method"] in _METHODS else "other"
        began = time.monotonic()
        status, first, got, code, streams = _GONE, None, 0, None, False
        meters = self.meters

        with span("request", parent, **{"http.request.method": method}) as trace:
            state["trace_id"], state["traceparent"] = trace.trace_id, trace.header

            async def receiving() -> Message:
                nonlocal got
                message = await receive()
                got += len(message.get("body", b""))
                return message

            async def sending(message: Message) -> None:
                nonlocal status, first, code, streams
                if message["type"] == "http.response.start":
                    status, first = message["status"], time.monotonic() - began
                    headers = MutableHeaders(scope=message)
                    headers[HEADER] = trace.header
                    code = headers.get(ERROR_HEADER)
                    if headers.get("content-type", "").startswith(_EVENTS):
                        streams = True
                        meters.move("dubflow_http_event_streams_open", 1)
                await send(message)

            meters.move("dubflow_http_requests_open", 1)
            try:
                await self.app(scope, receiving, sending)
            finally:
                meters.move("dubflow_http_requests_open", -1)
                if streams:
                    meters.move("dubflow_http_event_streams_open", -1)
                route = _route(scope)
                seen = trace.trace_id
                meters.count("dubflow_http_requests_total", trace=seen, method=method, route=route, status=str(status))
                seconds = time.monotonic() - began if first is None else first
                meters.observe("dubflow_http_request_seconds", seconds, trace=seen, method=method, route=route)
                if got:
                    meters.count("dubflow_http_request_bytes_total", got, route=route)
                if code is not None:
                    meters.count("dubflow_http_rejections_total", trace=seen, code=code)
                told = {
                    "trace_id": trace.trace_id, "span_id": trace.span_id, "status": status, "bytes": got, "code": code,
                    "seconds": time.monotonic() - began, "key_id": state.get("key_id"), "method": method,
                    "route": route,
                }  # fmt: skip
                _log.info("request", extra=told)


def _route(scope: Scope) -> str:
    """The route's pattern, never the address that was asked for: that has ids, and anybody can invent addresses."""
    return str(getattr(scope.get("route"), "path", "none"))
