"""Webhooks: told at least once that a job has ended, signed, from an outbox that the job's last transaction filled.

A delivery is ``POST`` with a JSON body, its id in ``Dubflow-Delivery`` (a receiver that sees one twice knows), and
``Dubflow-Signature: t=SECONDS,v1=HEX``: HMAC-SHA256 of ``SECONDS.BODY`` under the deployment's secret. Whatever is not
2xx is tried again after pauses that grow, for about a day. The time for one delivery is bounded, and of the answer
nothing is read but its status.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import random
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from dubflow.errors import DubflowError, OurFault
from dubflow.gateway.database import WORKER_PATIENCE_S, Database
from dubflow.gateway.settings import GatewaySettings
from dubflow.gateway.tables import DELIVERIES
from dubflow.gateway.webhook_target import Resolve, Target, address_of, read_target

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping, Select

    from dubflow.gateway.metrics import Meters

SIGNATURE = "Dubflow-Signature"
DELIVERY = "Dubflow-Delivery"
TOLERANCE_S = 300.0
"""How old a signature may be; older ones are somebody's recording."""
TIME_S = 10.0
"""For one delivery as a whole: connecting, TLS, sending, the first line of the answer."""
ATTEMPTS = 12
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 4 * 3600.0
_HANDS = 4
_FILE = "webhook.secret"

_log = logging.getLogger("dubflow.gateway.webhooks")


def sign(secret: bytes, body: bytes, at: int) -> str:
    """The header's value for ``body`` sent at ``at`` seconds since 1970."""
    return f"t={at},v1={hmac.new(secret, f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def verify(secret: bytes, body: bytes, header: str, now: float, tolerance_s: float = TOLERANCE_S) -> bool:
    """Whether a delivery is ours and recent: what a receiver does with the header."""
    parts = dict(one.split("=", 1) for one in header.split(",") if "=" in one)
    at = parts.get("t", "")
    if not (at.isascii() and at.isdecimal() and len(at) <= 12) or abs(now - int(at)) > tolerance_s:
        return False
    return hmac.compare_digest(sign(secret, body, int(at)).encode(), f"t={at},v1={parts.get('v1', '')}".encode())


def webhook_secret(settings: GatewaySettings) -> bytes:
    """The deployment's secret: of the settings, or one made in the state folder on first use, for its owner alone."""
    if settings.webhook_secret is not None:
        return settings.webhook_secret.get_secret_value().encode()
    path = settings.state / _FILE
    if path.is_file():
        return path.read_text(encoding="ascii").strip().encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{_FILE}.{secrets.token_hex(4)}.partial")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # of two that make one at once, one wins and both read that
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path.read_text(encoding="ascii").strip().encode()


class Webhooks:
    """Sends what is due.

    Args:
        secret: signs. allowed: ``host:port`` that may be private or without TLS. resolve: a name's addresses.
        tls: whom to trust; the system's authorities without. time_s: for one delivery.
    """

    def __init__(
        self,
        database: Database,
        secret: bytes,
        *,
        allowed: Iterable[str] = (),
        meters: Meters | None = None,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        time_s: float = TIME_S,
    ) -> None:
        self.database, self._secret, self.allowed = database, secret, tuple(allowed)
        self._meters, self._resolve, self._tls, self.time_s = meters, resolve, tls, time_s
        self._stopping = threading.Event()

    def deliver_due(self) -> int:
        """Try each delivery that is due, once; how many arrived.

        Raises:
            OurFault: ``gateway.database_busy``, ``gateway.database_failed``.
        """
        if not self._any_due():
            return 0
        with ThreadPoolExecutor(_HANDS) as pool:  # one receiver that is slow does not hold up all others
            return sum(pool.map(lambda _: self._some(), range(_HANDS)))

    def stop(self) -> None:
        """Begin no more deliveries."""
        self._stopping.set()

    def _some(self) -> int:
        arrived = 0
        while not self._stopping.is_set() and (row := self._take()) is not None:
            arrived += self._try(row)
        return arrived

    def _due(self, now: int) -> Select[Any]:
        """First tries first: those that failed before are likely to take long again."""
        due = select(DELIVERIES).where(DELIVERIES.c.state == "waiting", DELIVERIES.c.due_ms <= now)
        return due.order_by(DELIVERIES.c.attempts, DELIVERIES.c.due_ms).limit(1)

    def _any_due(self) -> bool:
        query = self._due(self.database.now_ms())
        return self.database.read(lambda connection: connection.execute(query).first() is not None)

    def _take(self) -> RowMapping | None:
        """A delivery for this process alone, until it could not be under way any more."""
        now = self.database.now_ms()
        if not self._any_due():
            return None

        def work(connection: Connection) -> RowMapping | None:
            row = connection.execute(self._due(now).with_for_update(skip_locked=True)).mappings().first()
            if row is None:
                return None
            # Should this process die now, another one sends it then: twice rather than never.
            later = now + round(3000 * self.time_s)
            taken = update(DELIVERIES).where(DELIVERIES.c.id == row["id"], DELIVERIES.c.attempts == row["attempts"])
            changed = connection.execute(taken.values(due_ms=later, attempts=DELIVERIES.c.attempts + 1))
            return row if changed.rowcount == 1 else None

        return self.database.write(work)

    def _try(self, row: RowMapping) -> bool:
        attempt = row["attempts"] + 1
        status: int | None = None
        code: str | None = None
        try:
            status = self.send(row["url"], row["body"].encode(), row["id"])
        except DubflowError as error:
            code = error.code
        fine = status is not None and 200 <= status < 300
        # An address that may not be called stays so; 410 says that nobody wants to hear it.
        hopeless = code in ("gateway.bad_webhook", "gateway.webhook_not_allowed") or status == 410
        over = hopeless or attempt >= ATTEMPTS
        state = "delivered" if fine else "given_up" if over else "waiting"
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 3 ** (attempt - 1)) * random.uniform(0.8, 1.2)  # noqa: S311
        values = {"state": state, "answer": status, "why": code, "due_ms": self.database.now_ms() + round(1000 * pause)}
        # Only while this try is the last: one that took too long was taken over.
        mine = (DELIVERIES.c.id == row["id"], DELIVERIES.c.attempts == attempt)
        self.database.write(
            lambda connection: connection.execute(update(DELIVERIES).where(*mine).values(**values)),
            patience_s=WORKER_PATIENCE_S,
        )
        if self._meters is not None:
            outcome = {"delivered": "delivered", "given_up": "given_up", "waiting": "failed"}[state]
            self._meters.count("dubflow_webhook_deliveries_total", outcome=outcome)
        told = {"job_id": row["job_id"], "attempt": attempt, "state": state, "status": status, "code": code}
        _log.info("webhook", extra=told)
        return fine

    def send(self, url: str, body: bytes, delivery: str) -> int:
        """Deliver once; the answer's status.

        Raises:
            BadInput: ``gateway.bad_webhook``, ``gateway.webhook_not_allowed``.
            OurFault: ``gateway.webhook_unresolved``, ``gateway.webhook_unreachable``.
        """
        target = read_target(url, self.allowed)
        address = address_of(target, self._resolve)
        at = int(time.time())
        headers = {
            "Host": target.authority,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "User-Agent": "dubflow-webhooks/1",
            "Connection": "close",
            DELIVERY: delivery,
            SIGNATURE: sign(self._secret, body, at),
        }
        connection = _Pinned(target, address, self.time_s, self._tls)
        # Time-outs of a socket are for each read: one byte a second would keep them all.
        alarm = threading.Timer(self.time_s, connection.end)
        alarm.daemon = True
        alarm.start()
        try:
            connection.putrequest("POST", target.path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            return connection.getresponse().status
        except (OSError, HTTPException, ValueError) as error:
            raise OurFault(
                "gateway.webhook_unreachable",
                f"The webhook did not answer ({type(error).__name__}).",
                "It is tried again.",
            ) from error
        finally:
            alarm.cancel()
            connection.close()


class _Pinned(HTTPConnection):
    """A connection to an address that was judged, under the name that was asked for."""

    def __init__(self, target: Target, address: str, time_s: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(target.host, target.port, timeout=time_s)
        self._target, self._address, self._tls = target, address, tls
        self._line: socket.socket | None = None
        self._over = False

    def connect(self) -> None:
        """Connect to the address; with TLS, for the name."""
        plain = socket.create_connection((self._address, self.port), timeout=self.timeout)
        self.sock = plain
        self._line = plain.dup()
        if self._over:
            raise TimeoutError
        if self._target.scheme == "https":
            context = self._tls or ssl.create_default_context()
            self.sock = context.wrap_socket(plain, server_hostname=self._target.host, do_handshake_on_connect=False)
            self.sock.do_handshake()

    def end(self) -> None:
        """Cut the line, from another thread."""
        self._over = True
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of everything."""
        super().close()
        if self._line is not None:
            self._line.close()
