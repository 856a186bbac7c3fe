"""One id from the client's request through job, worker and model, in W3C's form."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.gateway import tracing
from dubflow.gateway.tracing import Trace, new_trace, past_span, span, trace_from
from dubflow.serving.trace_context import new_request_id
from gateway.api import Api
from gateway.test_logs import lines, parsed

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{ID}-{SPAN}-01"
FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")

__all__ = ["lines"]


def test_a_traceparent_is_read_and_written() -> None:
    assert trace_from(GIVEN) == Trace(ID, SPAN, sampled=True)
    assert trace_from(GIVEN).header == GIVEN
    assert not trace_from(f"00-{ID}-{SPAN}-00").sampled
    assert trace_from(ID).trace_id == ID
    assert trace_from(f"cc-{ID}-{SPAN}-01-what-comes-later").trace_id == ID
    child = trace_from(GIVEN).child()
    assert (child.trace_id, child.span_id != SPAN) == (ID, True)


@given(
    st.text()
    | st.sampled_from(
        [
            f"ff-{ID}-{SPAN}-01",
            f"00-{'0' * 32}-{SPAN}-01",
            f"00-{ID}-{'0' * 16}-01",
            f"00-{ID}-{SPAN}-01-x",
            GIVEN.upper(),
            GIVEN + " ",
            GIVEN[:-1],
            "0" * 32,
        ]
    )
)
def test_whatever_else_comes_begins_a_new_trace(text: str) -> None:
    found = trace_from(text)
    assert FORM.fullmatch(found.header)
    assert found.trace_id not in (ID, "0" * 32)


def test_requests_to_models_carry_the_trace_while_it_lasts() -> None:
    assert re.fullmatch("[0-9a-f]{16}", new_request_id())
    with span("dub", trace_from(GIVEN)) as here:
        assert here.trace_id == ID
        assert re.fullmatch(f"{ID}-[0-9a-f]{{16}}", new_request_id())
        assert new_request_id() != new_request_id()
    assert ID not in new_request_id()


def test_the_clients_trace_is_in_answer_job_and_logs(api: Api, clip: Path, lines: io.StringIO) -> None:
    key = api.upload(clip)
    made = api.submit(key, headers={"traceparent": GIVEN})
    assert made.headers["traceparent"].split("-")[1] == ID
    assert made.headers["traceparent"].split("-")[2] != SPAN
    assert made.json()["trace_id"] == ID
    api.work()
    with_it = [one for one in parsed(lines) if one.get("trace_id") == ID]
    assert [one["event"] for one in with_it] == ["request", "job taken", "job left"]
    failed = api.ask("GET", "/v1/dubs/dub_none")
    assert failed.json()["trace_id"] == failed.headers["traceparent"].split("-")[1] != ID


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """An OTLP collector on loopback: bodies that it was sent."""
    got: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv(tracing.ENDPOINT, f"http://127.0.0.1:{server.server_port}")
    tracing._tracer.cache_clear()
    yield got
    tracing._tracer.cache_clear()
    server.shutdown()
    server.server_close()
    thread.join()


def test_spans_reach_a_collector_without_texts(collector: list[bytes]) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with (
        pytest.raises(ValueError, match="s3cret"),
        span("dub", trace_from(GIVEN), **{"dubflow.job_id": "dub_1"}) as here,
    ):
        past_span("speaking", here, 2.0)
        raise ValueError("s3cret")
    processor = tracing._tracer().span_processor
    processor.force_flush()
    processor.shutdown()
    sent = [
        one
        for body in collector
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for one in scope.spans
    ]
    spans = {one.name: one for one in sent}
    assert set(spans) == {"dub", "speaking"}
    assert {one.trace_id.hex() for one in sent} == {ID}
    assert spans["dub"].parent_span_id.hex() == SPAN
    assert spans["speaking"].parent_span_id == spans["dub"].span_id
    assert spans["speaking"].end_time_unix_nano - spans["speaking"].start_time_unix_nano == 2_000_000_000
    assert b"s3cret" not in b"".join(collector)


def test_without_a_collector_or_the_library_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tracing.ENDPOINT, raising=False)
    tracing._tracer.cache_clear()
    assert tracing._tracer() is None
    monkeypatch.setenv(tracing.ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    tracing._tracer.cache_clear()
    with span("x", new_trace()) as here:
        past_span("y", here, 1.0)
    assert tracing._tracer() is None
    tracing._tracer.cache_clear()
    assert FORM.fullmatch(here.header)
