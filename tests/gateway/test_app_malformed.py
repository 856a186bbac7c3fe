"""What strangers send: every refusal has its form, nothing is found out, nothing breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.gateway.body import parse_json
from dubflow.gateway.errors import answer, content_of, fault_of, status_of
from dubflow.gateway.server import PatientProtocol
from gateway.api import Api, connection, listening_server, running

SECRET = "Xq7-only-in-this-request"


@pytest.fixture(scope="module")
def open_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running(tmp_path_factory.mktemp("state"), burst=100_000, requests_a_minute=1e6) as made:
        yield made


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[" * 200_000 + b"]" * 200_000, 400, "gateway.bad_json"),
        (b'{"a":' * 100_000, 400, "gateway.bad_json"),
        (b'{"clip": NaN}', 400, "gateway.bad_json"),
        (b'{"clip": -Infinity}', 400, "gateway.bad_json"),
        (b'{"clip": 1e999}', 400, "gateway.bad_json"),
        (b'{"clip": ' + b"9" * 5000 + b"}", 400, "gateway.bad_json"),
        (b'{"clip": "a", "clip": "b"}', 400, "gateway.bad_json"),
        (b'{"clip": "\\ud800"}', 400, "gateway.bad_json"),
        (b'{"clip": "a\\u0000"}', 400, "gateway.bad_json"),
        (b'{"segments": [{"text": ["\\udfff"]}]}', 400, "gateway.bad_json"),
        (b"\xff\xfe{\x00}\x00", 400, "gateway.bad_json"),
        (b'{"clip": "\xc3\x28"}', 400, "gateway.bad_json"),
        (b"", 400, "gateway.bad_json"),
        (b"{", 400, "gateway.bad_json"),
        (b"null", 400, "gateway.bad_request"),
        (b"[]", 400, "gateway.bad_request"),
        (b'"text"', 400, "gateway.bad_request"),
        (b'{"a":"' + b"x" * 2_000_000 + b'"}', 413, "gateway.too_large"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/dubs", "/v1/consents", "/v1/models/rollback"])
def test_json_that_is_none(open_app: Api, path: str, body: bytes, status: int, code: str) -> None:
    who = "promoter" if path.startswith("/v1/models") else "one"
    refused = open_app.ask("POST", path, who, content=body, headers={"Content-Type": "application/json"})
    told = (refused.status_code, refused.json()["code"])
    # Where nothing was sent, the framework asks for the body before it is read.
    assert told == (status, code) or (told == (400, "gateway.bad_request") and not body), path


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
            st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")), inner, max_size=4),
        max_leaves=20,
    )
)  # fmt: skip
@settings(deadline=None, max_examples=100)
def test_good_json_reads_as_it_was_written(value: object) -> None:
    for ascii_only in (True, False):
        assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode(), 1000) == value


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    with contextlib.suppress(WrongUse):  # and nothing else
        parse_json(data)


@pytest.mark.parametrize("depth", [1, 32])
def test_depth_counts_brackets_outside_of_texts(depth: int) -> None:
    parse_json(b"[" * depth + b"]" * depth, depth)
    parse_json(b'["' + b"[{" * 100 + b'\\"["]', 1)
    with pytest.raises(WrongUse, match="nested deeper"):
        parse_json(b"[" * (depth + 1) + b"]" * (depth + 1), depth)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "gateway.no_route"),
        ("GET", "/docs", 404, "gateway.no_route"),
        ("GET", "/v1/dubs/../../etc/passwd", 404, "gateway.no_route"),
        ("GET", "/v1/dubs/..%2f..%2fetc%2fpasswd", 404, "gateway.no_route"),
        ("GET", "/v1/dubs/%00", 404, "gateway.no_such_job"),
        ("GET", "/v1/dubs/%F0%9F%92%A9", 404, "gateway.no_such_job"),
        ("GET", "/v1/dubs/" + "x" * 3000, 404, "gateway.no_such_job"),
        ("GET", "/v1/dubs/' OR 1=1 --", 404, "gateway.no_such_job"),
        ("PATCH", "/v1/dubs", 405, "gateway.method_not_allowed"),
        ("PUT", "/v1/uploads", 405, "gateway.method_not_allowed"),
        ("GET", "/v1/dubs?limit=0", 400, "gateway.bad_request"),
        ("GET", "/v1/dubs?limit=1e9", 400, "gateway.bad_request"),
        ("GET", "/v1/dubs?state=all", 400, "gateway.bad_request"),
        ("GET", "/v1/dubs?after=%27", 400, "gateway.bad_request"),
        ("GET", "/v1/dubs?after=a%0d%0aX-Evil:1", 400, "gateway.bad_request"),
    ],
)
def test_addresses_that_are_none(open_app: Api, method: str, path: str, status: int, code: str) -> None:
    refused = open_app.ask(method, path)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert "x-evil" not in refused.headers


def test_content_of_another_kind_is_refused(open_app: Api) -> None:
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", ""):
        refused = open_app.ask("POST", "/v1/dubs", content=b"{}", headers={"Content-Type": kind})
        assert (refused.status_code, refused.json()["code"]) == (415, "gateway.content_type"), kind
    for kind in ("application/json", "text/html; charset=utf-8"):
        refused = open_app.ask("POST", "/v1/uploads", content=b"{}", headers={"Content-Type": kind})
        assert (refused.status_code, refused.json()["code"]) == (415, "gateway.content_type"), kind
    refused = open_app.ask("POST", "/v1/uploads", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert refused.json()["code"] == "gateway.bad_form"


def test_an_idempotency_key_cannot_be_anything(open_app: Api) -> None:
    for key in ("", "x" * 201, "a\tb"):
        refused = open_app.submit("up_" + "0" * 40, headers={"Idempotency-Key": key})
        assert (refused.status_code, refused.json()["code"]) == (400, "gateway.bad_idempotency_key"), key


def test_every_answer_has_the_headers_of_a_careful_server(open_app: Api) -> None:
    for path in ("/healthz", "/nowhere", "/v1/dubs", "/openapi.json", "/metrics"):
        headers = open_app.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_a_refusal_repeats_nothing_that_was_sent(open_app: Api) -> None:
    body = {"clip": SECRET, "language": SECRET * 2, "text": [SECRET], "quality": SECRET, "webhook": {"a": SECRET}}
    refused = open_app.ask("POST", "/v1/dubs", json=body)
    assert refused.status_code == 400
    assert "language" in refused.text
    assert SECRET not in refused.text


def test_what_nobody_expected_gives_a_trace_and_no_stack(open_app: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError(f"{SECRET} in /srv/secret/place.py")

    monkeypatch.setattr(type(open_app.parts.jobs), "get", broken)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    failed = open_app.ask("GET", "/v1/dubs/dub_0", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert (failed.status_code, failed.json()["code"]) == (500, "gateway.internal")
    assert failed.json()["trace_id"] == trace
    assert set(failed.json()) == {"code", "message", "hint", "trace_id"}
    assert SECRET not in failed.text
    assert "ValueError" not in failed.text


def test_the_status_follows_from_the_code_then_from_the_class() -> None:
    assert status_of(WrongUse("any.thing", "")) == 400
    assert status_of(BadInput("any.thing", "")) == 422
    assert status_of(OurFault("any.thing", "")) == 500
    assert status_of(BadInput("serving.no_state", "")) == status_of(OurFault("serving.any", "")) == 503
    assert status_of(BadInput("gateway.no_such_job", "")) == 404
    late = answer(OurFault("gateway.overloaded", "", "", retry_after_s=17.4))
    assert (late.status_code, late.headers["retry-after"]) == (503, "17")
    storage = OurFault("storage.failed", "It could not be written.")
    storage.__cause__ = OSError(28, "No space left on device")
    assert status_of(fault_of(storage)) == 507


def test_a_message_has_no_path_of_this_machine() -> None:
    told = content_of(BadInput("media.x", "There is no file /var/lib/dubflow/spool/ab12.\n\x1b[31m", ""))
    assert told["message"].startswith("There is no file ab12.")
    assert "\x1b" not in told["message"]
    assert "\n" not in told["message"]
    assert content_of(BadInput("a.b", "", "GET /v1/dubs lists yours."))["hint"] == "GET /v1/dubs lists yours."


def _nonsense(dice: random.Random, key: str) -> bytes:
    """One malformed request as it goes over the wire: no HTTP at all, or HTTP with nonsense in it."""
    if dice.random() < 0.3:
        lines = [
            dice.choice(["GET", "BREW", "get", "\0", "POST" * 50, ""])
            + dice.choice([" /v1/dubs ", " * ", " http:// ", " //", " /%zz ", " "])
            + dice.choice(["HTTP/1.1", "HTTP/9.9", "HTTP/1.0", "", "HTTP/1.1 extra"]),
            *dice.sample(
                ["Host x", "Content-Length: -5", "Content-Length: 5, 6", "\x01: \x02", " folded: yes", "a" * 70_000], 3
            ),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + dice.randbytes(100)
    method, path = dice.choice(
        [
            ("POST", "/v1/dubs"), ("POST", "/v1/uploads"), ("POST", "/v1/consents"), ("POST", "/v1/models/rollback"),
            ("GET", "/v1/dubs/%zz/video"), ("GET", "/v1/dubs?limit=x"), ("GET", "/" + "a" * dice.randrange(9000)),
            ("DELETE", "/v1/dubs/.."), ("GET", "/v1/dubs/x/events"), ("BREW", "/v1/dubs"),
        ]
    )  # fmt: skip
    whole = b'{"clip": "up_0", "text": "Good morning.", "language": "en", "segments": [{"text": "a", "start": 0}]}'
    form = b'--b\r\nContent-Disposition: form-data; name="clip"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    body = bytearray(dice.choice([dice.randbytes(300), whole, form, b"[" * 50_000, b"9" * 9000, b""]))
    for _ in range(dice.randrange(4)):
        if body:
            body[dice.randrange(len(body))] = dice.randrange(256)
    headers = [f"{method} {path} HTTP/1.1", "Host: x"]
    if dice.random() < 0.8:
        headers.append(f"Authorization: Bearer {key}")
    headers.append(
        dice.choices(
            [f"Content-Length: {len(body)}", f"Content-Length: {len(body) + 9}", "Transfer-Encoding: chunked"],
            (8, 1, 2),
        )[0]
    )
    headers.append(
        "Content-Type: "
        + dice.choice(
            ["application/json", "multipart/form-data; boundary=b", "multipart/form-data", "text/html", "\xff"]
        )
    )
    headers += dice.sample(
        [
            "Expect: 100-continue", "Range: bytes=9-1", "traceparent: 00-zz", "X: " + "y" * dice.randrange(20_000),
            "Upgrade: websocket\r\nConnection: upgrade", "Idempotency-Key: \xe9", "Last-Event-ID: -1", "Accept: \x7f",
        ],
        2,
    )  # fmt: skip
    return "\r\n".join(headers).encode("latin-1") + b"\r\n\r\n" + bytes(body)


def test_too_many_at_once_are_turned_away_and_the_service_still_says_that_it_lives(tmp_path: Path) -> None:
    with running(tmp_path, connections=1) as api, listening_server(api.app, api.settings) as port:
        held = socket.create_connection(("127.0.0.1", port), timeout=10)
        head = f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.keys['one']}\r\n"
        held.sendall(f"{head}Content-Length: 5\r\n\r\nab".encode())
        deadline = time.monotonic() + 10
        while not api.parts.uploading.taken and time.monotonic() < deadline:
            time.sleep(0.01)
        asked = {path: _get(port, path, api) for path in ("/v1/voices", "/healthz", "/metrics")}
        held.close()
    assert asked["/v1/voices"][0] == 503
    assert json.loads(asked["/v1/voices"][1])["code"] == "gateway.busy"
    assert asked["/healthz"][0] == asked["/metrics"][0] == 200


def test_connections_are_bounded_too(tmp_path: Path) -> None:
    with running(tmp_path, connections=1) as api, listening_server(api.app, api.settings) as port:
        held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(65)]
        status, body = _get(port, "/healthz", api)
        assert (status, json.loads(body)["code"]) == (503, "gateway.busy")
        for one in held:
            one.close()
        deadline = time.monotonic() + 10
        while _get(port, "/healthz", api)[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_answers_do_not_wait_for_acknowledgements(open_app: Api) -> None:
    seen = []

    class Watched(PatientProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            taken = transport.get_extra_info("socket")
            seen.append(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    with listening_server(open_app.app, open_app.settings, Watched) as port:
        assert _get(port, "/healthz", open_app)[0] == 200
    assert seen
    assert all(seen)


@pytest.mark.slow
def test_a_locked_database_holds_up_no_reader_and_loses_nothing(tmp_path: Path, clip: Path) -> None:
    with running(tmp_path) as api:
        key = api.upload(clip)
        other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert api.ask("GET", "/v1/dubs").status_code == 200
        assert api.client.get("/healthz").status_code == 200
        busy = api.submit(key, headers={"Idempotency-Key": "a"})
        assert (busy.status_code, busy.json()["code"]) == (503, "gateway.database_busy")
        assert int(busy.headers["retry-after"]) >= 1
        other.execute("ROLLBACK")
        other.close()
        assert api.submit(key, headers={"Idempotency-Key": "a"}).status_code == 202
        assert len(api.ask("GET", "/v1/dubs").json()["dubs"]) == 1


def _get(port: int, path: str, api: Api) -> tuple[int, bytes]:
    made = connection(port)
    made.request("GET", path, headers={**api.headers(), "Connection": "close"})
    answer = made.getresponse()
    body = answer.read()
    made.close()
    return answer.status, body


@pytest.mark.slow
def test_500_malformed_requests_leave_the_server_well(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    dice = random.Random(6)
    calm = {"headers_s": 1.0, "upload_idle_s": 0.1, "burst": 10_000}
    seen: Counter[int] = Counter()
    with running(tmp_path, **calm) as api, listening_server(api.app, api.settings) as port:
        for number in range(550):
            if number == 50:
                before = _memory()
            with socket.create_connection(("127.0.0.1", port), timeout=15) as made:
                made.sendall(_nonsense(dice, api.keys["one"]))
                answered = made.recv(65_536)
                if answered.startswith(b"HTTP/1.1 100"):
                    answered = answered.partition(b"\r\n\r\n")[2] or made.recv(65_536)
            seen[int(answered.split(b" ", 2)[1])] += 1
        assert sorted(set(seen) - {400, 401, 403, 404, 405, 408, 413, 415, 422}) == [], seen
        assert min(seen[400], seen[401], seen[404], seen[405]) > 20, seen
        assert not list(api.settings.spool.iterdir())
        grown = (_memory() - before) / 2**20
        assert _get(port, "/healthz", api)[0] == 200
    assert grown < 8, f"{grown:.1f} MiB more after 500 requests"
    record_property("figure", f"{seen.total()} requests, each refused with 4xx; {grown:+.1f} MiB after the last 500")


def _memory() -> int:
    """Resident bytes of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
