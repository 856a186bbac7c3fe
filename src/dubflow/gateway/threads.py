"""Blocking work beside the event loop, each kind in threads of its own.

A database that is locked, a slow disk or clips that take long to look at hold up their own kind only: who asks how a
job stands never waits behind them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import anyio
from anyio.lowlevel import current_token

Answer = TypeVar("Answer")
Given = ParamSpec("Given")

_MOST = {"read": 16, "write": 8, "disk": 8, "media": 2, "slow": 2}
_limiters: WeakKeyDictionary[object, dict[str, anyio.CapacityLimiter]] = WeakKeyDictionary()


async def reading(work: Callable[Given, Answer], *args: Given.args, **more: Given.kwargs) -> Answer:
    """A look into the database or the storage."""
    return await _run("read", functools.partial(work, *args, **more))


async def writing(work: Callable[Given, Answer], *args: Given.args, **more: Given.kwargs) -> Answer:
    """A change of the database."""
    return await _run("write", functools.partial(work, *args, **more))


async def on_disk(work: Callable[Given, Answer], *args: Given.args, **more: Given.kwargs) -> Answer:
    """Bytes to or from a disk or storage."""
    return await _run("disk", functools.partial(work, *args, **more))


async def looking(work: Callable[Given, Answer], *args: Given.args, **more: Given.kwargs) -> Answer:
    """What decodes media."""
    return await _run("media", functools.partial(work, *args, **more))


async def slowly(work: Callable[Given, Answer], *args: Given.args, **more: Given.kwargs) -> Answer:
    """What may take long: the registry, a deep look at the server."""
    return await _run("slow", functools.partial(work, *args, **more))


async def _run(kind: str, work: Callable[[], Answer]) -> Answer:
    limiters = _limiters.setdefault(current_token(), {})
    if kind not in limiters:
        limiters[kind] = anyio.CapacityLimiter(_MOST[kind])
    return await anyio.to_thread.run_sync(work, limiter=limiters[kind])
