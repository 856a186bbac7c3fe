"""Uploads: streamed with bounded memory, size, time and room; whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import DubflowError
from dubflow.gateway.database import Database
from dubflow.gateway.keys import KeyStore
from dubflow.gateway.receiving import SUFFIX, receive_file, receive_form, sweep
from dubflow.gateway.settings import load_settings
from gateway.api import Api, connection, listening_server, make_clip, running

BOUNDARY = "xYz"


def _request(chunks: list[bytes], headers: dict[str, str]) -> Request:
    """A request whose body comes in these pieces."""
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw, "state": {}}, receive)


def _form(parts: dict[str, tuple[str | None, bytes]]) -> bytes:
    body = b""
    for name, (file, content) in parts.items():
        told = f'form-data; name="{name}"' + ("" if file is None else f'; filename="{file}"')
        body += f"--{BOUNDARY}\r\nContent-Disposition: {told}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
NASTY = st.binary(max_size=200) | st.sampled_from(
    [b"\r\n--xYz", b"\r\n--xY", b"--xYz--", b"\r\n", b"\r\n--xYz--\r\n"[:-3] + b"q"]
)


@settings(deadline=None, max_examples=80)
@given(NASTY, st.text(max_size=30), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_form_reads_the_same_however_its_bytes_arrive(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, text: str, places: list[int]
) -> None:
    spool = tmp_path_factory.getbasetemp() / "spool-of-forms"
    limits = load_settings(state=spool)
    limits.spool.mkdir(parents=True, exist_ok=True)
    content = b"x" + content.replace(b"\r\n--xYz", b"\r\n--xYy")
    words = text.replace("\0", "").encode("utf-8", "replace")
    body = _form({"clip": ("../../etc/passwd", content), "language": (None, words)})

    async def receive() -> None:
        with await receive_form(_request(_cut(body, places), HEADERS), limits, {"clip": 1000}) as form:
            assert form.texts == {"language": words.decode()}
            assert form.files["clip"].sha256 == hashlib.sha256(content).hexdigest()
            assert form.files["clip"].path.read_bytes() == content
            assert form.files["clip"].path.parent == limits.spool

    asyncio.run(receive())
    assert not list(limits.spool.iterdir())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (_form({"clip": ("a", b"x" * 1001)}), "gateway.too_large"),
        (_form({"clip": ("a", b"")}), "gateway.empty_upload"),
        (_form({"clip": ("a", b"x")})[:-9], "gateway.bad_form"),
        (_form({"other": ("a", b"x")}), "gateway.bad_form"),
        (_form({"language": (None, b"\xff\xfe")}), "gateway.bad_form"),
        (_form({"language": (None, b"a\0b")}), "gateway.bad_form"),
        (_form({"a": (None, b"1")})[: -len(f"--{BOUNDARY}--\r\n")] + _form({"a": (None, b"2")}), "gateway.bad_form"),
        (b"no parts at all", "gateway.bad_form"),
        (b"", "gateway.bad_form"),
        (f"--{BOUNDARY}\r\nX: ".encode() + b"y" * 20_000 + b"\r\n\r\n", "gateway.bad_form"),
        (f"--{BOUNDARY}\r\nX: y\r\n\r\nz\r\n--{BOUNDARY}--\r\n".encode(), "gateway.bad_form"),
        (_form({str(number): (None, b"") for number in range(40)}), "gateway.bad_form"),
        (_form({"a": (None, b"x" * 2000)}), "gateway.too_large"),
    ],
)
def test_a_form_that_is_none_leaves_nothing(tmp_path: Path, body: bytes, code: str) -> None:
    limits = load_settings(state=tmp_path, body_bytes=1024)
    limits.spool.mkdir()
    with pytest.raises(DubflowError) as refused:
        asyncio.run(receive_form(_request([body], HEADERS), limits, {"clip": 1000}))
    assert refused.value.code == code
    assert not list(limits.spool.iterdir())


def test_no_room_is_told_before_anything_is_received(tmp_path: Path) -> None:
    limits = load_settings(state=tmp_path, spare_bytes=2**60)
    limits.spool.mkdir()
    with pytest.raises(DubflowError) as refused:
        asyncio.run(receive_file(_request([b"x"], {}), limits))
    assert refused.value.code == "gateway.disk_full"


def test_what_killed_uploads_left_is_swept(tmp_path: Path) -> None:
    old, young, other = tmp_path / f"a{SUFFIX}", tmp_path / f"b{SUFFIX}", tmp_path / "c.txt"
    for path in (old, young, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (time.time() - 1000, time.time() - 1000))
    assert sweep(tmp_path, 900) == 1
    assert {one.name for one in tmp_path.iterdir()} == {young.name, other.name}


def test_an_upload_that_nobody_names_goes_and_one_that_waits_stays(api: Api, clip: Path, tmp_path: Path) -> None:
    needed, idle = api.upload(clip), api.upload(make_clip(tmp_path / "other.mp4", 5, seed=1))
    api.submit(needed)
    assert api.parts.uploads.sweep(60) == 0
    assert api.parts.uploads.sweep(-60) == 1
    assert api.submit(idle).json()["code"] == "gateway.no_upload"
    assert not (Path(api.parts.files.root) / "uploads" / idle).exists()
    assert (Path(api.parts.files.root) / "uploads" / needed).is_file()
    assert api.submit(needed).status_code == 202


def test_a_slow_client_is_let_go_and_a_lying_one_is_stopped(tmp_path: Path) -> None:
    limits = {"upload_idle_s": 0.3, "clip_bytes": 100_000, "headers_s": 0.4}
    with running(tmp_path, **limits) as api, listening_server(api.app, api.settings) as port:
        stalled = _begun(port, api, "Content-Length: 5000", b"x" * 10)
        head = socket.create_connection(("127.0.0.1", port), timeout=10)
        head.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        lying = _begun(port, api, "Transfer-Encoding: chunked", b"19000\r\n" + b"y" * 0x19000)
        assert _answer(lying) == (413, "gateway.too_large")
        assert _answer(stalled) == (408, "gateway.upload_too_slow")
        assert head.recv(100) == b""  # a head that never ends is worth no answer
        head.close()
        declared = _begun(port, api, "Content-Length: 200000000", b"")
        assert _answer(declared) == (413, "gateway.too_large")
        assert not list(api.settings.spool.iterdir())
        fine = connection(port)
        fine.request("GET", "/healthz")
        assert fine.getresponse().status == 200
        fine.close()


def test_a_client_that_goes_away_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as api, listening_server(api.app, api.settings) as port:
        gone = _begun(port, api, "Content-Length: 3000000", b"x" * 2_000_000)
        deadline = time.monotonic() + 10
        while not list(api.settings.spool.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert list(api.settings.spool.iterdir())
        gone.close()
        while (list(api.settings.spool.iterdir()) or api.parts.uploading.taken) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not list(api.settings.spool.iterdir())
        assert api.parts.uploading.taken == 0


def test_a_client_that_does_not_read_is_let_go(tmp_path: Path) -> None:
    with running(tmp_path, send_idle_s=0.3) as api, listening_server(api.app, api.settings) as port:
        idle = socket.socket()
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.connect(("127.0.0.1", port))
        idle.settimeout(10)
        head = f"GET /openapi.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.keys['one']}\r\n\r\n"
        asked = 200  # several answers, more than the connection can hold
        idle.sendall(head.encode() * asked)
        time.sleep(1.0)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := idle.recv(2**20):
                got += piece
        idle.close()
        assert 0 < got.count(b"HTTP/1.1 200") < asked


def _begun(port: int, api: Api, length: str, body: bytes) -> socket.socket:
    """A connection on which an upload was begun."""
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.keys['one']}\r\n{length}\r\n\r\n"
    made.sendall(head.encode() + body)
    return made


def _answer(made: socket.socket) -> tuple[int, str]:
    answer = http.client.HTTPResponse(made)
    answer.begin()
    code = json.loads(answer.read())["code"]
    made.close()
    return answer.status, code


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[tuple[int, str, int]]:
    """A gateway in a process that can write no file of more than 4 MB: port, key, process id."""
    store = KeyStore(Database(load_settings(state=tmp_path).database_url))
    key, _ = store.create("one", ("submit", "read"))
    store.database.close()
    most = 4_000_000
    process = subprocess.Popen(
        [sys.executable, "-m", "dubflow.gateway", "--state", str(tmp_path), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["port"], key, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_told_and_keeps_nothing(apart: tuple[int, str, int], tmp_path: Path) -> None:
    port, key, _ = apart
    headers = {"Authorization": f"Bearer {key}"}
    for _ in range(3):
        made = connection(port, 60)
        made.request("POST", "/v1/uploads", body=b"x" * 6_000_000, headers=headers)
        answer = made.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (507, "gateway.disk_full")
        made.close()
    assert not list((tmp_path / "spool").iterdir())
    small = make_clip(tmp_path / "clip.mp4", 5)
    made = connection(port, 60)
    made.request("POST", "/v1/uploads", body=small.read_bytes(), headers=headers)
    assert made.getresponse().status == 201
    made.close()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_size_of_an_upload(tmp_path: Path) -> None:
    with running(tmp_path, clip_bytes=2**30) as api:
        pieces = 300

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with listening_server(api.app, api.settings) as port:
            made = connection(port, 120)
            zeros = (b"\0" * 2**20 for _ in range(pieces))
            length = {"Content-Length": str(pieces * 2**20)}
            made.request("POST", "/v1/uploads", body=zeros, headers={**api.headers(), **length})
            answer = made.getresponse()
            assert (answer.status, json.loads(answer.read())["code"]) == (422, "media.not_media")
            made.close()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown < 60, f"{grown:.0f} MiB for an upload of {pieces} MiB"
