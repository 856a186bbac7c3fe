"""From a day's demand to nodes: as few as keep the queue young in every hour, with a node lost in the busiest one.

The working day around the busiest hour is simulated, for a queue that is full as that hour begins is part of it, and so
is what it leaves behind. Where an hour has few jobs many days are simulated; where it has very many, a part of the
demand on that part of the nodes, and the result is multiplied. That errs on the safe side: a small fleet is less
regular than a large one, and one node lost of a part stands for as many as there are parts.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dubflow.config import Strict
from dubflow.errors import WrongUse
from dubflow.platform.capacity.demand import HOUR_S, Demand
from dubflow.platform.capacity.simulation import Fleet, Loss, Outcome, simulate
from dubflow.platform.capacity.times import ServiceTimes

DAY_S = 24 * HOUR_S
_BEFORE_H, _AFTER_H = 4, 4
_MOST_JOBS = 4_000
"""Of the busiest hour of a part."""
_FEWEST_JOBS = 500
_MOST_DAYS = 400
_MOST_DAY = 200_000
"""Jobs of a day that is simulated from end to end."""
_APART_S = 100 * DAY_S
_FEWEST = 20
"""Jobs of an hour of whom a 95th percentile is taken."""
Floats = NDArray[np.float64]


class Objective(Strict):
    """What has to hold, and what may go wrong meanwhile."""

    wait_s: float = Field(60.0, gt=0, description="Age of the queue: what 95 % of the jobs may wait at the most.")
    slots: int = Field(1, ge=1, description="Batches that a node works on at the same time.")
    batch: int = Field(1, ge=1, description="Jobs of a batch, at most.")
    lost_nodes: int = Field(1, ge=0, description="Lost at the beginning of the busiest hour.")
    away_s: float = Field(900.0, ge=0, description="How long a lost node is away, before it starts again.")
    price: float | None = Field(None, ge=0, description="Of a node's hour, in any currency.")


@dataclass(frozen=True)
class Capacity:
    """What is needed.

    Attributes:
        nodes: that are there all day. wait_p50, wait_p95, wait_max: seconds, in the worst hour.
        busiest_utilisation: work that comes in the busiest hour, as a share of what the nodes can do in it.
        scaled_node_hours: of a day where nodes follow the queue, and the wait that this costs; None where the day has
            more jobs than are simulated one by one.
        cost, scaled_cost: of a day.
    """

    label: str
    minutes_a_day: float
    jobs_a_day: float
    device_s_per_minute: float
    nodes: int
    wait_p50: float
    wait_p95: float
    wait_max: float
    busiest_utilisation: float
    day_utilisation: float
    node_hours: float
    scaled_node_hours: float | None
    scaled_wait_p95: float | None
    cost: float | None
    scaled_cost: float | None
    jobs_simulated: int

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Peak:
    """The hours around the busiest one, on some days, drawn once: every number of nodes meets the same jobs.

    Attributes:
        hours: in which each job came, counted from the first, ``[n]``. days: how many.
        losses: moments at which nodes are lost. parts: of which this is the demand of one.
    """

    arrivals: Floats
    work: Floats
    hours: NDArray[np.int64]
    days: int
    losses: tuple[float, ...]
    parts: int


def plan_capacity(times: ServiceTimes, demand: Demand, objective: Objective, seed: int = 0) -> Capacity:
    """The fewest nodes that keep the objective, found by simulation.

    Raises:
        WrongUse: ``platform.objective_out_of_reach`` where no number of nodes does; ``platform.no_batches_measured``.
    """
    if objective.batch > 1 and max(times.batch_share) == 1:
        raise WrongUse(
            "platform.no_batches_measured",
            "These service times say nothing about batches.",
            "Measure them (python benchmarks/capacity.py --measure FILE), or leave batches out.",
        )
    peak = _drawn(times, demand, seed)
    low = high = max(1, math.floor(_load(times, demand, objective) / peak.parts))
    most = 4 * low + 64 + objective.lost_nodes
    # As large a step as is needed, then halves: a wait falls with every node that is added.
    while not _holds(outcome := _at(high, peak, times, objective), peak, objective):
        if high > most:
            raise WrongUse(
                "platform.objective_out_of_reach",
                f"With {high:,} nodes 5 % of the jobs still wait longer than {_p(outcome, peak, 95):.0f} s; "
                f"{objective.wait_s:g} s are asked for.",
                "A lost node's jobs wait for their lease: allow more, or smaller batches.",
            )
        low, high = high + 1, high + max(1, high // 8)
    while low < high:
        middle = (low + high) // 2
        if _holds(_at(middle, peak, times, objective), peak, objective):
            high = middle
        else:
            low = middle + 1
    outcome = _at(high, peak, times, objective)
    nodes = high * peak.parts
    scaled = _scaled(times, demand, objective, nodes, seed)
    hours, price = 24.0 * nodes, objective.price
    works = _mean_work(times, demand) * demand.jobs_a_day * times.share_of(objective.batch)
    offered = float(peak.work[peak.hours == _BEFORE_H].sum()) * times.share_of(objective.batch)
    return Capacity(
        label=times.label,
        minutes_a_day=demand.minutes_a_day,
        jobs_a_day=demand.jobs_a_day,
        device_s_per_minute=times.device_s_per_minute,
        nodes=nodes,
        wait_p50=_p(outcome, peak, 50),
        wait_p95=_p(outcome, peak, 95),
        wait_max=_p(outcome, peak, 100),
        busiest_utilisation=offered / (high * objective.slots * peak.days * HOUR_S),
        day_utilisation=min(1.0, works / (nodes * objective.slots * DAY_S)),
        node_hours=hours,
        scaled_node_hours=None if scaled is None else scaled.node_s / HOUR_S,
        scaled_wait_p95=None if scaled is None else float(np.percentile(scaled.waits, 95)),
        cost=None if price is None else price * hours,
        scaled_cost=None if price is None or scaled is None else price * scaled.node_s / HOUR_S,
        jobs_simulated=len(peak.arrivals),
    )


def _drawn(times: ServiceTimes, demand: Demand, seed: int) -> _Peak:
    rng = np.random.default_rng([seed, 1])
    jobs_an_hour = demand.rate(demand.busiest) * HOUR_S
    parts = max(1, round(jobs_an_hour / _MOST_JOBS))
    part = demand.model_copy(update={"minutes_a_day": demand.minutes_a_day / parts})
    days = max(1, min(_MOST_DAYS, math.ceil(_FEWEST_JOBS / jobs_an_hour)))
    begin = (demand.busiest - _BEFORE_H) * HOUR_S
    came = [part.arrivals(demand.busiest - _BEFORE_H, _BEFORE_H + _AFTER_H, rng) - begin for _ in range(days)]
    hours = np.concatenate([one // HOUR_S for one in came]).astype(np.int64)
    # What is left of one day is done before the next: they lie far apart.
    arrivals = np.concatenate([one + day * _APART_S for day, one in enumerate(came)])
    if not len(arrivals):
        arrivals, hours = np.zeros(1), np.full(1, _BEFORE_H)
    work = times.overhead_s + part.lengths(len(arrivals), rng) * rng.choice(times.paces(), len(arrivals))
    losses = tuple(day * _APART_S + _BEFORE_H * HOUR_S for day in range(days))
    return _Peak(arrivals, work, hours, days, losses, parts)


def _at(nodes: int, peak: _Peak, times: ServiceTimes, objective: Objective) -> Outcome:
    fleet = Fleet(nodes=nodes, slots=objective.slots, batch=objective.batch, cold_start_s=times.cold_start_s)
    lost = min(objective.lost_nodes, nodes)
    losses = [Loss(at, objective.away_s) for at in peak.losses for _ in range(lost)]
    return simulate(peak.arrivals, peak.work, fleet, losses, times.share_of)


def _holds(outcome: Outcome, peak: _Peak, objective: Objective) -> bool:
    return _p(outcome, peak, 95) <= objective.wait_s


def _p(outcome: Outcome, peak: _Peak, percent: float) -> float:
    """A percentile of the waits in the worst hour."""
    found = [outcome.waits[peak.hours == hour] for hour in range(_BEFORE_H + _AFTER_H)]
    enough = [float(np.percentile(waits, percent)) for waits in found if len(waits) >= _FEWEST]
    return max(enough, default=float(np.percentile(outcome.waits, percent)))


def _scaled(times: ServiceTimes, demand: Demand, objective: Objective, most: int, seed: int) -> Outcome | None:
    """A whole day on nodes that follow the queue, with one always there."""
    if demand.jobs_a_day > _MOST_DAY:
        return None
    rng = np.random.default_rng([seed, 2])
    arrivals = demand.arrivals(0.0, 24.0, rng)
    if not len(arrivals):
        return None
    work = times.overhead_s + demand.lengths(len(arrivals), rng) * rng.choice(times.paces(), len(arrivals))
    fleet = Fleet(nodes=most, least=1, slots=objective.slots, batch=objective.batch, cold_start_s=times.cold_start_s)
    return simulate(arrivals, work, fleet, (), times.share_of)


def _load(times: ServiceTimes, demand: Demand, objective: Objective) -> float:
    """Nodes that the busiest hour keeps busy, were nothing ever to wait for anything."""
    rate = demand.rate(demand.busiest)
    return rate * _mean_work(times, demand) * times.share_of(objective.batch) / objective.slots


def _mean_work(times: ServiceTimes, demand: Demand) -> float:
    return times.overhead_s + demand.clip_s * float(times.paces().mean())
