"""Server-sent events: every change once, resumed where the client was, alive while nothing happens, bounded."""

from __future__ import annotations

import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.gateway.events import last_event, stream
from dubflow.gateway.jobs.job import JobEvent
from dubflow.gateway.settings import GatewaySettings
from gateway.api import Api, connection, listening_server, running

QUICK = GatewaySettings(state=Path("unused"), heartbeat_s=0.02, stream_s=0.2)


def _parsed(text: str) -> list[tuple[int | None, str, dict[str, Any]]]:
    """Events as a browser reads them."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in fields:
            number = int(fields["id"]) if "id" in fields else None
            found.append((number, fields["event"], json.loads(fields["data"])))
    return found


def _all_of(look: Any, after: int = 0) -> str:
    async def collect() -> str:
        pieces = [one async for one in stream(look, lambda event: {"n": event.number}, after, QUICK, pause_s=0.005)]
        return b"".join(pieces).decode()

    return anyio.run(collect)


def test_events_are_told_once_and_the_stream_ends_with_the_job(api: Api, clip: Path) -> None:
    dub = api.submit(api.upload(clip)).json()
    api.ask("POST", dub["links"]["cancel"])
    told = api.ask("GET", dub["links"]["events"])
    assert told.headers["content-type"].startswith("text/event-stream")
    assert told.headers["cache-control"] == "no-store"
    events = _parsed(told.text)
    assert [name for _, name, _ in events] == ["cancelled"]
    last = events[-1][0]
    resumed = api.ask("GET", dub["links"]["events"], headers={"Last-Event-ID": str(last)})
    assert resumed.status_code == 204  # nothing will follow, and the browser stays away
    assert api.parts.streaming.taken == 0


def test_a_stream_heartbeats_and_lets_go_after_its_time() -> None:
    async def nothing(after: int) -> tuple[JobEvent, ...]:
        return ()

    text = _all_of(nothing)
    assert text.startswith("retry: 1000\n\n")
    assert 3 <= text.count(": still here") <= 12
    assert _parsed(text) == []


def test_a_busy_database_is_waited_for_and_anything_else_is_told() -> None:
    looks = 0

    async def busy(after: int) -> tuple[JobEvent, ...]:
        nonlocal looks
        looks += 1
        if looks < 4:
            raise OurFault("gateway.database_busy", "busy", "")
        raise BadInput("gateway.no_such_job", "gone", "")

    events = _parsed(_all_of(busy))
    assert looks == 4
    assert [(name, one["code"]) for _, name, one in events] == [("error", "gateway.no_such_job")]


@pytest.mark.parametrize("header", ["-1", "x", "1.5", "9" * 40, "١"])
def test_a_last_event_that_is_no_number_is_refused(header: str) -> None:
    with pytest.raises(WrongUse, match=r"gateway\.bad_event_id"):
        last_event(header)


@pytest.mark.slow
def test_progress_comes_while_it_happens_and_survives_a_lost_connection(api: Api, clip: Path) -> None:
    dub = api.submit(api.upload(clip)).json()
    path = dub["links"]["events"]
    with listening_server(api.app, api.settings) as port:
        first = _open(port, path, api, {})
        assert _next(first)["state"] == "queued"
        seen = dub["revision"]
        first.close()  # the client's train goes into a tunnel
        worker = threading.Thread(target=api.work)
        worker.start()
        again = _open(port, path, api, {"Last-Event-ID": str(seen)})
        states, percents = [], []
        while not states or states[-1] != "done":
            event = _next(again)
            assert event["revision"] > seen
            seen = event["revision"]
            states.append(event["state"])
            percents.append(event["percent"])
        worker.join()
        assert percents == sorted(percents)
        assert again.read().strip() == b""  # the stream ended
        deadline = time.monotonic() + 10
        while api.parts.streaming.taken and time.monotonic() < deadline:
            time.sleep(0.02)
        assert api.parts.streaming.taken == 0


def test_streams_of_a_tenant_are_bounded_and_a_client_that_leaves_frees_its_own(tmp_path: Path, clip: Path) -> None:
    with running(tmp_path, tenant_streams=2, heartbeat_s=0.05) as api:
        path = api.submit(api.upload(clip)).json()["links"]["events"]
        with listening_server(api.app, api.settings) as port:
            held = [_open(port, path, api, {}) for _ in range(2)]
            for one in held:
                _next(one)
            refused = connection(port)
            refused.request("GET", path, headers=api.headers())
            answer = refused.getresponse()
            assert (answer.status, json.loads(answer.read())["code"]) == (429, "gateway.too_many_streams")
            refused.close()
            held[0].close()
            deadline = time.monotonic() + 10
            while api.parts.streaming.taken == 2 and time.monotonic() < deadline:
                time.sleep(0.02)
            another = _open(port, path, api, {})
            _next(another)
            for one in (another, held[1]):
                one.close()


def _open(port: int, path: str, api: Api, more: dict[str, str]) -> http.client.HTTPResponse:
    made = connection(port)
    made.request("GET", path, headers={**api.headers(), **more, "Connection": "close"})
    answer = made.getresponse()
    assert answer.status == 200
    return answer


def _next(answer: http.client.HTTPResponse) -> dict[str, Any]:
    """The next event's data."""
    while True:
        line = answer.readline().decode()
        assert line, "the stream ended"
        if line.startswith("data: "):
            found: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return found
