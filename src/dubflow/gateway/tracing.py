"""Trace ids from a client's request to the model and back (W3C Trace Context), and spans where somebody collects them.

A trace id always exists: the client's ``traceparent`` is continued, or a trace begins here. Spans are sent only where
OpenTelemetry is installed (extra ``telemetry``) and ``OTEL_EXPORTER_OTLP_ENDPOINT`` says where to; otherwise this costs
a random number.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from dubflow.serving.trace_context import within

HEADER = "traceparent"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ID = re.compile(r"[0-9a-f]{32}")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass(frozen=True)
class Trace:
    """A place in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits. span_id: 16. sampled: whether the caller records it.
    """

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def header(self) -> str:
        """As ``traceparent`` carries it."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self) -> Trace:
        """Another span of the same trace."""
        return Trace(self.trace_id, secrets.token_hex(8), self.sampled)


def new_trace() -> Trace:
    """A trace that begins here."""
    return Trace(secrets.token_hex(16), secrets.token_hex(8))


def trace_from(text: str | None) -> Trace:
    """The trace of a ``traceparent`` or of a bare trace id; a new one where it is neither.

    A header of a later version is read as far as version 0 goes; zeros mean nothing (W3C Trace Context, 3.2).
    """
    if text is None or len(text) > 512:
        return new_trace()
    if _ID.fullmatch(text) and text != _NO_TRACE:
        return Trace(text, secrets.token_hex(8))
    found = _FORM.fullmatch(text)
    if found is None:
        return new_trace()
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return new_trace()
    return Trace(trace_id, span_id, bool(int(flags, 16) & 1))


@contextmanager
def span(name: str, parent: Trace, **attributes: str | int | float | bool) -> Iterator[Trace]:
    """A piece of work; yields its place in the trace. Attributes follow the same rule as logs: no texts, no names."""
    tracer = _tracer()
    if tracer is None:
        with within(parent.trace_id):
            yield parent.child()
        return
    from opentelemetry import trace as otel

    # What an exception says may hold texts of clients: its kind is told, nothing else.
    with tracer.start_as_current_span(
        name, _under(parent), attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as started:
        own = started.get_span_context()
        try:
            with within(parent.trace_id):
                yield Trace(parent.trace_id, f"{own.span_id:016x}", parent.sampled)
        except BaseException as error:
            started.set_attribute("error.type", getattr(error, "code", type(error).__name__))
            started.set_status(otel.Status(otel.StatusCode.ERROR))
            raise


def past_span(name: str, parent: Trace, seconds: float, **attributes: str | int | float | bool) -> None:
    """A piece of work that ended now and took so long."""
    tracer = _tracer()
    if tracer is not None:
        end = time.time_ns()
        start = end - round(seconds * 1e9)
        tracer.start_span(name, _under(parent), attributes=attributes, start_time=start).end(end)


def _under(parent: Trace) -> Any:
    """OpenTelemetry's context below a span that another process, or an earlier call here, has begun."""
    from opentelemetry import trace as otel

    above = otel.SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=otel.TraceFlags(1 if parent.sampled else 0),
    )
    return otel.set_span_in_context(otel.NonRecordingSpan(above))


@cache
def _tracer() -> Any:
    """OpenTelemetry's tracer; None where spans go nowhere."""
    if not os.environ.get(ENDPOINT) and not os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return None
    provider = TracerProvider(resource=Resource.create({"service.name": "dubflow"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("dubflow")
