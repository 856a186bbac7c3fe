"""The M/M/c queue in closed form (Erlang, 1917): what the simulation is held to, and where its search begins.

Arrivals are Poisson with ``rate``, service is exponential with mean ``service_s``, ``servers`` work on one queue, first
come, first served. The offered load is ``a = rate * service_s``; below ``servers`` the queue is stable.
"""

from __future__ import annotations

import math


def erlang_b(servers: int, load: float) -> float:
    """Share of arrivals that find all servers busy where nobody waits (the recursion that does not overflow)."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Share of arrivals that have to wait; 1 where the queue is not stable."""
    if load >= servers:
        return 1.0
    blocked = erlang_b(servers, load)
    return servers * blocked / (servers - load * (1 - blocked))


def mean_wait(servers: int, rate: float, service_s: float) -> float:
    """Mean seconds in the queue; infinity where it is not stable."""
    load = rate * service_s
    if load >= servers:
        return math.inf
    return erlang_c(servers, load) * service_s / (servers - load)


def wait_quantile(servers: int, rate: float, service_s: float, share: float) -> float:
    """Seconds that no more than ``1 - share`` of the arrivals wait longer than; infinity where it is not stable.

    ``P(W > t) = C exp(-(servers - a) t / service_s)``.
    """
    load = rate * service_s
    if load >= servers:
        return math.inf
    waits = erlang_c(servers, load)
    return 0.0 if waits <= 1 - share else math.log(waits / (1 - share)) * service_s / (servers - load)
