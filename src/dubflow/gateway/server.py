"""uvicorn as we run it: one process, strict about how long a client may take to send a head or to read an answer.

uvicorn waits for ever for the rest of a head that a client has begun, and for a client that does not read what it asked
for; :class:`PatientProtocol` ends such connections, and answers what is no HTTP in the form that every other error has.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from dubflow.errors import OurFault
from dubflow.gateway.settings import GatewaySettings

_MOST_HEAD = 32 * 1024
_SPARE_CONNECTIONS = 64
_KEEP_ALIVE_S = 15
_LEAVE_S = 10
_NOT_HTTP = {
    "code": "gateway.bad_request",
    "message": "The request is not HTTP, or its head is too large.",
    "hint": "Send HTTP/1.1 with less than 32 KiB of headers.",
}
_TOO_MANY = {
    "code": "gateway.busy",
    "message": "Too many connections at the same time.",
    "hint": "Try again in a moment.",
}


class PatientProtocol(H11Protocol):
    """HTTP/1.1 whose heads must come within :attr:`head_s` seconds, over :attr:`most` connections at the most.

    A client that takes nothing off a full connection for :attr:`read_s` seconds is let go.
    """

    head_s = 10.0
    read_s = 60.0
    most = 1024
    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head; refuse where there are too many connections already."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(503, _TOO_MANY, **{"retry-after": "1"})
        else:
            self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """A head that came to its end stops the clock, the beginning of another one starts it."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._head is None and not self.transport.is_closing():
            self._wait_for_head()

    def on_response_complete(self) -> None:
        """The next head may have come already."""
        super().on_response_complete()
        self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """What the client has not read fills the connection. Closing would wait for it to read; this does not."""
        super().pause_writing()
        self._stop_watching()
        self._reader = self.loop.call_later(self.read_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads."""
        self._stop_watching()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(400, _NOT_HTTP)

    def _refuse(self, status: int, content: dict[str, str], **more: str) -> None:
        body = json.dumps(content).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-content-type-options": "nosniff",
            "connection": "close",
            **more,
        }
        try:
            head = h11.Response(status_code=status, headers=list(headers.items()))
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # an answer has begun already
            pass
        if self.cycle is not None:  # whoever is still at work on it is told that the client is gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._head = self.loop.call_later(self.head_s, self.transport.abort)

    def _stop_watching(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def listening(settings: GatewaySettings) -> socket.socket:
    """A socket on the settings' address; its port is known before the server runs.

    Raises:
        OurFault: ``gateway.address_in_use``.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named: asyncio turns Nagle's algorithm off only then, and every answer would wait 40 ms for it.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((settings.host, settings.port))
        bound.listen(min(settings.connections, 1024))
    except OSError as error:
        bound.close()
        raise OurFault(
            "gateway.address_in_use",
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}.",
            "Take another port: --port, 0 for a free one.",
        ) from error
    return bound


def server_of(app: ASGIApp, settings: GatewaySettings) -> uvicorn.Server:
    """A server for ``app``; ``server.run(sockets=[listening(settings)])`` runs it."""
    most = settings.connections + _SPARE_CONNECTIONS
    patience = {"head_s": settings.headers_s, "read_s": settings.send_idle_s, "most": most}
    protocol: Any = type("Protocol", (PatientProtocol,), patience)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_LEAVE_S,
        h11_max_incomplete_event_size=_MOST_HEAD,
    )
    return uvicorn.Server(config)
