"""A discrete-event simulation of one queue and its nodes: batches, cold starts, scaling by queue depth, lost nodes.

One event after another in the order of time: a job comes, a batch is done, a node is there, a node is lost, the scaler
looks. Jobs wait in one queue, first come, first served; a job whose node was lost comes back to the front of it once
its lease is over, as the gateway does. The same input gives the same output.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dubflow.config import Strict


class Fleet(Strict):
    """What jobs run on."""

    nodes: int = Field(ge=1, description="At the start, and at the most.")
    least: int | None = Field(None, ge=0, description="At the least, where nodes follow the queue; None: always all.")
    slots: int = Field(1, ge=1, description="Batches that a node works on at the same time.")
    batch: int = Field(1, ge=1, description="Jobs of a batch, at most; nobody waits for others.")
    cold_start_s: float = Field(0.0, ge=0, description="From asking for a node to its first job.")
    look_s: float = Field(30.0, gt=0, description="How often the scaler looks.")
    queue_a_node: float = Field(2.0, gt=0, description="Waiting jobs for which one more node is asked for.")
    idle_s: float = Field(300.0, gt=0, description="A node that had nothing to do for so long is given back.")
    lease_s: float = Field(30.0, ge=0, description="After which a job of a lost node is taken up again.")


@dataclass(frozen=True)
class Loss:
    """A node is lost at ``at`` and comes back ``away_s`` later, as cold as a new one."""

    at: float
    away_s: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of it.

    Attributes:
        waits: seconds from coming to the start of the work that was finished, by job, ``[n]``.
        done: when each was finished, ``[n]``.
        busy_s: of all slots together, work that was lost included. node_s: that nodes were there or starting.
        batches: that were started. peak: most nodes at once.
    """

    waits: NDArray[np.float64]
    done: NDArray[np.float64]
    busy_s: float
    node_s: float
    batches: int
    peak: int


@dataclass
class _Node:
    slots: int
    since: float
    up: bool = False
    gone: bool = False
    idle_since: float = math.inf
    running: dict[int, tuple[list[int], float]] = field(default_factory=dict)


_DONE, _UP, _LOST, _BACK, _LOOK = range(5)


def simulate(
    arrivals: Sequence[float] | NDArray[np.float64],
    work: Sequence[float] | NDArray[np.float64],
    fleet: Fleet,
    losses: Sequence[Loss] = (),
    share_of: Callable[[int], float] = lambda size: 1.0,
) -> Outcome:
    """Run all jobs to their end.

    Args:
        arrivals: seconds, sorted, ``[n]``. work: seconds of each alone in a slot, ``[n]``.
        share_of: of a batch of so many, its work as a share of the sum.
    """
    return _Run(np.asarray(arrivals, float).tolist(), np.asarray(work, float).tolist(), fleet, share_of).all(losses)


class _Run:
    def __init__(
        self, arrivals: list[float], work: list[float], fleet: Fleet, share_of: Callable[[int], float]
    ) -> None:
        self.arrivals, self.work, self.fleet = arrivals, work, fleet
        self.shares = [share_of(size) for size in range(1, fleet.batch + 1)]
        self.now = arrivals[0] if arrivals else 0.0
        self.waits, self.done = [0.0] * len(work), [0.0] * len(work)
        self.queue: deque[int] = deque()
        self.events: list[tuple[float, int, int, int]] = []
        self.number = self.left = self.batches = self.peak = 0
        self.busy_s = self.node_s = 0.0
        self.nodes: list[_Node] = []
        self.idle: list[int] = []
        self.places: dict[int, int] = {}

    def all(self, losses: Sequence[Loss]) -> Outcome:
        fleet, count = self.fleet, len(self.work)
        self.left = count
        for _ in range(fleet.nodes if fleet.least is None else fleet.least):
            self._add(self.now, warm=True)
        if fleet.least is not None:
            self._event(self.now + fleet.look_s, _LOOK, 0)
        for loss in losses:
            self._event(max(loss.at, self.now), _LOST, round(loss.away_s * 1000))
        coming = 0
        while self.left:
            next_event = self.events[0][0] if self.events else math.inf
            if coming < count and self.arrivals[coming] <= next_event:
                self.now = self.arrivals[coming]
                self.queue.append(coming)
                coming += 1
            else:
                self.now, _, kind, what = heapq.heappop(self.events)
                self._happens(kind, what)
            if self.queue and self.idle:
                self._start()
        for node in self.nodes:
            if not node.gone:
                self.node_s += max(0.0, self.now - node.since)  # one that is away costs nothing yet
        return Outcome(np.array(self.waits), np.array(self.done), self.busy_s, self.node_s, self.batches, self.peak)

    def _happens(self, kind: int, what: int) -> None:
        if kind == _DONE:
            self._finish(what)
        elif kind == _UP:
            self._up(what)
        elif kind == _LOST:
            self._lose(what / 1000)
        elif kind == _BACK:
            self.queue.appendleft(what)
        else:
            self._look()

    def _start(self) -> None:
        while self.queue and self.idle:
            place = self.idle.pop()
            node = self.nodes[place]
            if node.gone:
                continue
            jobs = [self.queue.popleft() for _ in range(min(self.fleet.batch, len(self.queue)))]
            seconds = self.shares[len(jobs) - 1] * sum(self.work[job] for job in jobs)
            node.idle_since = math.inf
            self.number += 1
            node.running[self.number] = (jobs, self.now)
            self.batches += 1
            self.places[self.number] = place
            self._event(self.now + seconds, _DONE, self.number)

    def _finish(self, batch: int) -> None:
        place = self.places.pop(batch, None)
        if place is None:
            return  # its node was lost
        node = self.nodes[place]
        jobs, began = node.running.pop(batch)
        self.busy_s += self.now - began
        for job in jobs:
            self.waits[job], self.done[job] = began - self.arrivals[job], self.now
        self.left -= len(jobs)
        if not node.running:
            node.idle_since = self.now
        self.idle.append(place)

    def _add(self, at: float, *, warm: bool) -> None:
        self.nodes.append(_Node(self.fleet.slots, at))
        self.peak = max(self.peak, sum(not one.gone for one in self.nodes))
        if warm:
            self._up(len(self.nodes) - 1)
        else:
            self._event(at + self.fleet.cold_start_s, _UP, len(self.nodes) - 1)

    def _up(self, place: int) -> None:
        node = self.nodes[place]
        node.up, node.idle_since = True, self.now
        self.idle += [place] * node.slots

    def _lose(self, away_s: float) -> None:
        """The node with the most to lose; where none is there, nothing happens."""
        there = [place for place, node in enumerate(self.nodes) if node.up and not node.gone]
        if not there:
            return
        place = max(there, key=lambda one: (len(self.nodes[one].running), -one))
        node = self.nodes[place]
        self._give_back(place)
        for batch, (jobs, began) in node.running.items():
            self.busy_s += self.now - began
            del self.places[batch]
            for job in reversed(jobs):
                self._event(self.now + self.fleet.lease_s, _BACK, job)
        node.running.clear()
        self.nodes.append(_Node(self.fleet.slots, self.now + away_s))
        self._event(self.now + away_s + self.fleet.cold_start_s, _UP, len(self.nodes) - 1)

    def _give_back(self, place: int) -> None:
        node = self.nodes[place]
        node.gone, node.up = True, False
        self.node_s += self.now - node.since

    def _look(self) -> None:
        fleet = self.fleet
        assert fleet.least is not None  # or nobody looks
        there = [place for place, node in enumerate(self.nodes) if not node.gone]
        starting = sum(not self.nodes[place].up for place in there)
        wanted = math.ceil(len(self.queue) / fleet.queue_a_node) - starting
        for _ in range(max(0, min(wanted, fleet.nodes - len(there)))):
            self._add(self.now, warm=False)
        if not self.queue:
            spare = len(there) - fleet.least
            for place in there:
                if spare > 0 and self.now - self.nodes[place].idle_since >= fleet.idle_s:
                    self._give_back(place)
                    spare -= 1
        self._event(self.now + fleet.look_s, _LOOK, 0)

    def _event(self, at: float, kind: int, what: int) -> None:
        self.number += 1
        heapq.heappush(self.events, (at, self.number, kind, what))
