"""Which trace the work of this thread or task belongs to: whoever serves sets it, requests to Triton carry it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TRACE: ContextVar[str | None] = ContextVar("dubflow_trace", default=None)


@contextmanager
def within(trace_id: str) -> Iterator[None]:
    """What is asked of a model inside belongs to this trace."""
    token = _TRACE.set(trace_id)
    try:
        yield
    finally:
        _TRACE.reset(token)


def new_request_id() -> str:
    """An id for one request to Triton, which its logs show: the trace's id first, where there is one."""
    own = secrets.token_hex(8)
    trace = _TRACE.get()
    return own if trace is None else f"{trace}-{own}"
