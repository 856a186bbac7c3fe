"""How much one tenant may ask for: a rate, a number at the same time, sizes with a tolerance.

Buckets and counts live in this process: with several gateways behind one address each counts its own share. What must
hold over all of them (jobs that are queued or running) is counted in the database.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.gateway.jobs.job import Counts
from dubflow.gateway.settings import GatewaySettings

_MOST_BUCKETS = 10_000
_SHORTEST_WAIT_S = 1.0
_WHOLE = 1 - 1e-6  # sums of fractions fall a little short of one
_LONGEST_WAIT_S = 600.0


@dataclass
class _Bucket:
    tokens: float
    at: float


class Rate:
    """A token bucket a tenant: ``burst`` at once, ``a_minute`` in the long run.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, a_minute: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = a_minute / 60, float(burst), clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, tenant: str) -> None:
        """One request.

        Raises:
            WrongUse: ``gateway.rate_limited`` with the seconds until there is a token.
        """
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(tenant)
            if bucket is None:
                self._make_room(now)
                bucket = self._buckets[tenant] = _Bucket(self._burst, now)
            bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
            bucket.at = now
            if bucket.tokens >= _WHOLE:
                bucket.tokens -= 1
                return
            wait = (1 - bucket.tokens) / self._rate
        raise WrongUse(
            "gateway.rate_limited",
            f"More than {self._rate * 60:g} requests a minute.",
            "Wait as Retry-After says; follow a job by its event stream instead of asking again and again.",
            retry_after_s=max(_SHORTEST_WAIT_S, wait),
        )

    def _make_room(self, now: float) -> None:
        if len(self._buckets) < _MOST_BUCKETS:
            return
        # A full bucket says no more than a new one would.
        full = [name for name, one in self._buckets.items() if one.tokens + (now - one.at) * self._rate >= self._burst]
        for name in full:
            del self._buckets[name]


class Slots:
    """A number at the same time, a tenant.

    Args:
        refuse: makes the refusal, from the number.
    """

    def __init__(self, most: int, refuse: Callable[[int], WrongUse]) -> None:
        self._most, self._refuse = most, refuse
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """By all tenants."""
        with self._lock:
            return self._taken.total()

    @contextmanager
    def one(self, tenant: str) -> Iterator[None]:
        """Hold a slot for the length of a ``with`` block.

        Raises:
            WrongUse: as ``refuse`` says.
        """
        with self._lock:
            if self._taken[tenant] >= self._most:
                raise self._refuse(self._most)
            self._taken[tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[tenant] -= 1
                if not self._taken[tenant]:
                    del self._taken[tenant]


def too_many_uploads(most: int) -> WrongUse:
    """The refusal of one more upload."""
    told = f"{most} uploads at the same time are the limit."
    return WrongUse("gateway.too_many_uploads", told, "Wait for one to end.", retry_after_s=_SHORTEST_WAIT_S)


def too_many_streams(most: int) -> WrongUse:
    """The refusal of one more event stream."""
    told = f"{most} event streams at the same time are the limit."
    return WrongUse("gateway.too_many_streams", told, "Wait for one to end.", retry_after_s=_SHORTEST_WAIT_S)


def admit(counts: Counts, tenant: str, settings: GatewaySettings) -> None:
    """Whether one more job may be taken on.

    Raises:
        WrongUse: ``gateway.too_many_jobs`` when the tenant has enough of them.
        OurFault: ``gateway.overloaded`` when the queue is full or the expected wait too long.
    """
    of_tenant = counts.queued_of.get(tenant, 0) + counts.running_of.get(tenant, 0)
    if of_tenant >= settings.tenant_jobs:
        # One of the tenant's own must end first: about the wait of the queue shared by what waits in it.
        wait = (counts.wait_s or 0.0) / max(1, counts.queued)
        raise WrongUse(
            "gateway.too_many_jobs",
            f"{of_tenant} jobs are queued or running; the limit is {settings.tenant_jobs}.",
            "Wait for one to end, or cancel one.",
            retry_after_s=_bounded(wait),
        )
    expected = counts.wait_s or 0.0
    if counts.queued >= settings.queue_jobs or expected > settings.queue_wait_s:
        over = max(expected - settings.queue_wait_s, expected / max(1, counts.queued))
        raise OurFault(
            "gateway.overloaded",
            f"{counts.queued} jobs are waiting; no more are taken on now.",
            "Send it again after the time that Retry-After says.",
            retry_after_s=_bounded(over),
        )


def soft(
    value: float, limit: float, settings: GatewaySettings, refuse: Callable[[str], BadInput], what: str, unit: str = ""
) -> str | None:
    """None within ``limit``, a notice a little above it (:attr:`GatewaySettings.tolerance`), an error beyond.

    Args:
        refuse: makes the error, from the words about it. what, unit: of the value, for people.

    Raises:
        BadInput: as ``refuse`` says.
    """
    if value <= limit:
        return None
    told = f"{what} {_number(value)}{unit}; the limit is {_number(limit)}{unit}"
    if value <= limit * (1 + settings.tolerance):
        return f"{told}; taken all the same, it is only a little more"
    raise refuse(told)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _bounded(wait: float) -> float:
    return min(_LONGEST_WAIT_S, max(_SHORTEST_WAIT_S, wait))
