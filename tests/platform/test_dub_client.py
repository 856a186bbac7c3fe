"""The client of the HTTP API against a server that breaks off, refuses, and sends other bytes than it names."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dubflow.errors import BadInput, OurFault
from dubflow.gateway.views import DubView, ResultView
from dubflow.platform import dub_client
from dubflow.platform.dub_client import DubClient

VIDEO = b"dubbed" * 1000


def view(revision: int, state: str, percent: float) -> DubView:
    base = "/v1/dubs/dub_1"
    links = {"self": base, "events": f"{base}/events", "result": f"{base}/result"}
    facts: dict[str, Any] = dict.fromkeys(
        ("estimate_s", "started", "finished", "language", "voice", "quality", "engine", "served_version", "error"),
    )
    facts |= {"id": "dub_1", "state": state, "stage": "speaking", "percent": percent, "revision": revision}
    facts |= {"created": "2026-01-01T00:00:00Z", "attempts": 1, "cancel_asked": False, "notices": ()}
    return DubView.model_validate(facts | {"trace_id": None, "links": links})


class Handler(BaseHTTPRequestHandler):
    """Sends one event a connection and breaks off; each connection must say which event came last."""

    seen: list[str | None]

    def do_GET(self) -> None:
        if self.path.endswith("/events"):
            last = self.headers["Last-Event-ID"]
            self.seen.append(last)
            number = int(last or 0) + 1
            event = view(number, "done" if number == 3 else "running", 100 * number / 3)
            text = f": a comment\n\nid: {number}\nevent: progress\ndata: {event.model_dump_json()}\n\n"
            self.answer(200, text.encode(), length=len(text) + (0 if number == 3 else 9))
        elif self.path.endswith("/video"):
            self.answer(200, VIDEO)
        else:
            told = {"code": "gateway.overloaded", "message": "Too many.", "hint": "Later.", "trace_id": None}
            self.answer(503 if self.path.endswith("/result") else 404, json.dumps(told).encode())

    def answer(self, status: int, content: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[DubClient]:
    monkeypatch.setattr(dub_client, "_AGAIN_S", 0.0)
    monkeypatch.setattr(Handler, "seen", [], raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with DubClient(f"http://127.0.0.1:{server.server_address[1]}", "key") as found:
            yield found
        server.shutdown()


def test_a_connection_that_is_lost_is_taken_up_behind_the_last_event(client: DubClient) -> None:
    events = list(client.follow(view(0, "queued", 0), 30))
    assert [one.revision for one in events] == [1, 2, 3]
    assert events[-1].state == "done"
    assert Handler.seen == ["0", "1", "2"]


def test_what_the_server_says_is_said_again(client: DubClient) -> None:
    with pytest.raises(OurFault, match="Too many") as refused:
        client.result(view(3, "done", 100))
    assert (refused.value.code, refused.value.hint) == ("gateway.overloaded", "Later.")
    with pytest.raises(BadInput, match="Too many"):
        list(client.consents())


def test_nobody_there_is_an_error_of_ours() -> None:
    with DubClient("http://127.0.0.1:9", "key") as nobody, pytest.raises(OurFault, match="no_answer"):
        nobody.result(view(3, "done", 100))


def test_a_file_is_brought_whole_and_once_and_never_with_other_bytes(client: DubClient, tmp_path: Path) -> None:
    def result(digest: str) -> ResultView:
        file = {"sha256": digest, "url": "/v1/dubs/dub_1/video"}
        return ResultView.model_construct(files={"video": file})

    out, right = tmp_path / "out.mp4", hashlib.sha256(VIDEO).hexdigest()
    assert client.fetch(result(right), "video", out)
    assert out.read_bytes() == VIDEO
    assert not client.fetch(result(right), "video", out), "it lies there"
    with pytest.raises(OurFault, match="fetched_broken"):
        client.fetch(result("0" * 64), "video", out)
    assert out.read_bytes() == VIDEO
    assert list(tmp_path.iterdir()) == [out]
