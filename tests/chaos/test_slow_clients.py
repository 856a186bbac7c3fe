"""Clients that send a head for ever, an upload for ever, or read nothing: nobody else waits for them, and they go."""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chaos.service import HOST, Client, Deployment, Record, told, until
from dubflow.media.encode import write_clip
from gateway.api import make_clip

pytestmark = pytest.mark.slow

HEADS, BODIES, READERS = 100, 6, 20
PATIENCE_S = 4.0
LIMITS = {"headers_s": PATIENCE_S, "upload_idle_s": PATIENCE_S, "send_idle_s": PATIENCE_S}


def test_slow_clients_hold_up_nobody_and_are_let_go(tmp_path: Path, record_property: Record) -> None:
    with Deployment(tmp_path / "state", LIMITS, workers=1) as service:
        client, slow = service.client("quick"), service.client("slow")
        large = slow.upload(_large(tmp_path / "large.mp4"))
        result = slow.insist(large, "large")
        assert slow.ended([result], 60)[0]["state"] == "done"
        upload = client.upload(make_clip(tmp_path / "clip.mp4"))
        calm = _answers(client, upload, 1.5)
        held = [
            *(_opened(service.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n") for _ in range(HEADS)),
            *(
                _opened(service.port, _head("POST", "/v1/uploads", slow.key, "Content-Length: 99"))
                for _ in range(BODIES)
            ),
            *(_opened(service.port, _head("GET", f"/v1/dubs/{result}/video", slow.key)) for _ in range(READERS)),
        ]
        began = time.monotonic()

        def drip() -> None:
            for one in held[:HEADS]:
                one.setblocking(False)
                with contextlib.suppress(OSError):  # let go already
                    one.send(b"X-Slow: 1\r\n")

        busy = _answers(client, upload, PATIENCE_S - 1, drip)
        job = client.insist(upload, "in between")
        assert client.ended([job], 60)[0]["state"] == "done"
        until(lambda: all(_gone(one) for one in held[: HEADS + BODIES]), 5 * PATIENCE_S)
        files = Path(f"/proc/{service.running['gateway'].pid}/fd")
        until(lambda: sum(_is_socket(one) for one in files.iterdir()) <= 4, 5 * PATIENCE_S)
        let_go = time.monotonic() - began
        for one in held:
            one.close()
        assert not list((service.state / "spool").iterdir())
        assert client.ready()
    assert statistics.median(busy) < 10 * statistics.median(calm) + 0.25, (calm, busy)
    told(record_property, f"{len(held)} slow clients: {len(busy)} requests of others answered, median "
         f"{1000 * statistics.median(calm):.0f} to {1000 * statistics.median(busy):.0f} ms, longest "
         f"{1000 * max(busy):.0f} ms; a job done meanwhile; all let go after {let_go:.1f} s")  # fmt: skip


def _answers(client: Client, upload: str, seconds: float, between: Callable[[], None] = lambda: None) -> list[float]:
    """How long each of the requests takes that one client makes one after another."""
    found, end = list[float](), time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert client.ask("GET", "/v1/dubs?limit=5").status == 200
        found.append(time.monotonic() - began)
        between()
        time.sleep(0.05)
    return found


def _large(path: Path) -> Path:
    """A clip of some megabytes: more than buffers of connections hold."""
    frames = np.random.default_rng(2).integers(0, 255, (50, 480, 480, 3), dtype=np.uint8)
    write_clip(path, frames, 25, np.zeros(32_000, np.float32), 16_000)
    assert path.stat().st_size > 6 * 2**20
    return path


def _head(method: str, path: str, key: str, *more: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _opened(port: int, data: bytes) -> socket.socket:
    """A connection with a small window that has sent ``data`` and reads nothing."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(20)
    made.connect((HOST, port))
    made.sendall(data)
    return made


def _gone(one: socket.socket) -> bool:
    """Whether the server has closed it."""
    one.setblocking(False)
    try:
        while one.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_socket(path: Path) -> bool:
    try:
        return str(path.readlink()).startswith("socket:")
    except OSError:
        return False
