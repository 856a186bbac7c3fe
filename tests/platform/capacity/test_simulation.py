"""Laws of queues: Erlang's formulas, Little's law, work that is never lost, and the same seed, the same day."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.platform.capacity.queueing import erlang_b, erlang_c, mean_wait, wait_quantile
from dubflow.platform.capacity.simulation import Fleet, Loss, simulate


def poisson(rate: float, count: int, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


def test_erlang_as_in_the_tables() -> None:
    # Erlang B: 10 servers, 5 erlang: 0.018385; 5 servers, 3 erlang: 0.110054. Erlang C: 2 servers, 1 erlang: 1/3.
    assert erlang_b(10, 5) == pytest.approx(0.018385, abs=1e-6)
    assert erlang_b(5, 3) == pytest.approx(0.110054, abs=1e-6)
    assert erlang_c(2, 1) == pytest.approx(1 / 3)
    assert erlang_c(1, 0.8) == pytest.approx(0.8), "of one server it is the load"
    assert mean_wait(1, 0.8, 1.0) == pytest.approx(4.0), "M/M/1: a / (mu - lambda)"
    assert wait_quantile(1, 0.8, 1.0, 0.95) == pytest.approx(math.log(0.8 / 0.05) / 0.2)
    assert (erlang_c(3, 3.5), mean_wait(3, 3.5, 1), wait_quantile(3, 3.5, 1, 0.9)) == (1.0, math.inf, math.inf)
    assert wait_quantile(100, 1.0, 1.0, 0.95) == 0.0
    assert erlang_b(100_000, 99_000) < 1, "no overflow"


@pytest.mark.parametrize(("servers", "load"), [(1, 0.7), (4, 3.2), (12, 10.0)])
def test_the_simulation_finds_what_erlang_found(servers: int, load: float) -> None:
    count, service_s = 120_000, 10.0
    rate = load / service_s
    work = np.random.default_rng(1).exponential(service_s, count)
    found = simulate(poisson(rate, count), work, Fleet(nodes=servers)).waits[2000:]
    assert (found > 1e-9).mean() == pytest.approx(erlang_c(servers, load), rel=0.05)
    assert found.mean() == pytest.approx(mean_wait(servers, rate, service_s), rel=0.12)
    assert np.percentile(found, 95) == pytest.approx(wait_quantile(servers, rate, service_s, 0.95), rel=0.12)


def test_constant_work_waits_half_as_long() -> None:
    """Pollaczek and Khinchine: M/D/1 waits half as long as M/M/1."""
    count = 120_000
    found = simulate(poisson(0.08, count), np.full(count, 10.0), Fleet(nodes=1)).waits
    assert found.mean() == pytest.approx(mean_wait(1, 0.08, 10.0) / 2, rel=0.06)


def test_littles_law() -> None:
    """Mean number in the queue is rate times mean wait; the number is counted from the events, not from the waits."""
    count = 20_000
    came = poisson(0.3, count)
    found = simulate(came, np.random.default_rng(2).exponential(10, count), Fleet(nodes=4))
    begun = np.sort(came + found.waits)
    length = found.done.max() - came[0]
    moments = np.linspace(came[0], found.done.max(), 200_001)
    waiting = np.searchsorted(came, moments, "right") - np.searchsorted(begun, moments, "right")
    assert (waiting >= 0).all()
    assert waiting.mean() == pytest.approx(count / length * found.waits.mean(), rel=0.01)


def jobs() -> st.SearchStrategy[tuple[list[float], list[float]]]:
    one = st.tuples(st.floats(0, 1000), st.floats(0.1, 50))
    return st.lists(one, min_size=1, max_size=40).map(
        lambda found: (sorted(at for at, _ in found), [work for _, work in found])
    )


@given(jobs(), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2))
@settings(deadline=None)
def test_nothing_is_lost_and_nothing_is_done_at_once_too_often(
    asked: tuple[list[float], list[float]], nodes: int, slots: int, losses: int
) -> None:
    came, work = asked
    lost = [Loss(at=came[0] + 7.0 * (number + 1), away_s=20.0) for number in range(losses)]
    found = simulate(came, work, Fleet(nodes=nodes, slots=slots, cold_start_s=3, lease_s=5), lost)
    assert (found.waits >= -1e-9).all()
    assert np.allclose(found.done - np.array(came) - found.waits, work), "each is done whole, in the end"
    assert found.busy_s >= sum(work) - 1e-6
    # Adding a wait to a moment rounds: who begins as another ends would overlap with it by that.
    begun, done = np.round(np.array(came) + found.waits, 6), np.round(found.done, 6)
    events = sorted([(at, -1) for at in done] + [(at, 1) for at in begun])
    at_once = np.cumsum([change for _, change in events])
    assert at_once.max() <= nodes * slots
    if not lost:
        assert found.busy_s == pytest.approx(sum(work))
        assert found.node_s == pytest.approx(nodes * (found.done.max() - came[0]))


@given(jobs(), st.integers(1, 4))
@settings(deadline=None)
def test_more_nodes_and_less_work_never_make_anybody_wait_longer(
    asked: tuple[list[float], list[float]], nodes: int
) -> None:
    came, work = asked
    few = simulate(came, work, Fleet(nodes=nodes)).waits
    assert (simulate(came, work, Fleet(nodes=nodes + 1)).waits <= few + 1e-9).all()
    assert (simulate(came, [0.9 * one for one in work], Fleet(nodes=nodes)).waits <= few + 1e-9).all()


def test_jobs_of_a_lost_node_come_first_once_their_lease_is_over() -> None:
    found = simulate([0, 1, 2], [10, 10, 10], Fleet(nodes=1, cold_start_s=5, lease_s=3), [Loss(4, 20)])
    # Lost at 4, back at 24, warm at 29: the first begins again before those that came after it.
    assert found.waits.tolist() == [29, 38, 47]
    assert found.busy_s == pytest.approx(34)
    late = simulate([0, 1], [10, 10], Fleet(nodes=2), [Loss(9, 1000)])
    assert late.node_s == pytest.approx(late.done.max() + 9), "what is away until the end costs nothing"


def test_batches_share_their_work() -> None:
    found = simulate([0, 1, 1, 1, 1], [8.0] * 5, Fleet(nodes=1, batch=4), (), lambda size: 1.0 if size == 1 else 0.5)
    assert found.batches == 2
    assert found.done.tolist() == [8, 24, 24, 24, 24]


def test_nodes_follow_the_queue_and_go_again() -> None:
    came = [0.0] + [1000.0] * 20 + [9000.0]
    fleet = Fleet(nodes=5, least=1, cold_start_s=60, look_s=30, queue_a_node=2, idle_s=300)
    found = simulate(came, [100.0] * len(came), fleet)
    assert found.peak == 5
    assert found.waits[1:21].max() < 100.0 * 20 - 100, "quicker than one node would be"
    assert found.node_s < 5 * 9100 * 0.4, "and cheaper than five all the time"
    cold = simulate(came, [100.0] * len(came), fleet.model_copy(update={"least": 0}))
    assert cold.waits[0] >= 60.0, "the first one waits for a node to start"


def test_the_same_input_gives_the_same_output() -> None:
    came, work = poisson(1.0, 3000), np.random.default_rng(3).exponential(3, 3000)
    fleet, lost = Fleet(nodes=6, least=2, cold_start_s=30), [Loss(100, 200)]
    first, second = (simulate(came, work, fleet, lost) for _ in range(2))
    assert (first.waits == second.waits).all()
    assert (first.node_s, first.busy_s) == (second.node_s, second.busy_s)
    nobody = simulate([], [], Fleet(nodes=1))
    assert (len(nobody.waits), nobody.busy_s) == (0, 0.0)
