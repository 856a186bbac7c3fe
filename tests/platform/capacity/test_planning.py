"""Plans: enough nodes and not one more, monotone in what is asked, honest about where their figures are from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.cli import main as program
from dubflow.errors import BadInput, WrongUse
from dubflow.platform.capacity.demand import HOUR_S, SHAPES, Demand
from dubflow.platform.capacity.planning import Objective, plan_capacity
from dubflow.platform.capacity.queueing import wait_quantile
from dubflow.platform.capacity.times import Measured, ServiceTimes, assumed, load_times

TIMES = ServiceTimes(
    world="embedded", machine="a test", source="made up for a test", cold_start_s=60,
    dubs=(Measured(clip_s=10, work_s=5), Measured(clip_s=20, work_s=11)), batch_share={1: 1.0, 4: 0.5},
)  # fmt: skip


@pytest.mark.parametrize("shape", sorted(SHAPES))
@given(minutes=st.floats(1, 1e6), clip=st.floats(5, 300))
@settings(deadline=None, max_examples=20)
def test_a_day_has_as_many_jobs_as_were_asked_for(shape: str, minutes: float, clip: float) -> None:
    demand = Demand.model_validate({"minutes_a_day": minutes, "clip_s": clip, "shape": shape})
    assert sum(demand.rate(hour) * HOUR_S for hour in range(24)) == pytest.approx(demand.jobs_a_day)
    assert demand.rate(demand.busiest) == max(demand.rate(hour) for hour in range(24))


def test_arrivals_follow_the_hours() -> None:
    demand, rng = Demand(minutes_a_day=50_000), np.random.default_rng(0)
    came = demand.arrivals(0, 24, rng)
    assert (np.diff(came) >= 0).all()
    counts = np.histogram(came, bins=24, range=(0, 24 * HOUR_S))[0]
    wanted = np.array([demand.rate(hour) * HOUR_S for hour in range(24)])
    assert (np.abs(counts - wanted) < 5 * np.sqrt(wanted)).all()
    lengths = demand.lengths(100_000, rng)
    assert (lengths.mean(), lengths.std() / lengths.mean()) == pytest.approx((60, 0.6), rel=0.03)
    part = demand.arrivals(8.25, 0.5, rng)
    assert 8.25 * HOUR_S <= part.min() <= part.max() < 8.75 * HOUR_S


def test_more_work_takes_more_nodes_and_patience_takes_fewer() -> None:
    nodes = [plan_capacity(TIMES, Demand(minutes_a_day=one), Objective()).nodes for one in (10, 300, 3000, 30_000)]
    assert nodes == sorted(nodes)
    assert nodes[0] < nodes[2] < nodes[3]
    demand = Demand(minutes_a_day=3000)
    waits = [plan_capacity(TIMES, demand, Objective(wait_s=one)).nodes for one in (20, 60, 600)]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] > waits[-1]
    slow = TIMES.model_copy(update={"dubs": (Measured(clip_s=10, work_s=20),)})
    assert plan_capacity(slow, demand, Objective()).nodes > nodes[2]


def test_the_objective_is_kept_and_one_node_less_breaks_it() -> None:
    flat = Demand(minutes_a_day=3000, shape="flat")
    plan = plan_capacity(TIMES, flat, Objective(wait_s=30, lost_nodes=0))
    assert plan.wait_p95 <= 30
    load = flat.rate(0) * 60 * float(TIMES.paces().mean())
    assert load < plan.nodes < 2 * load + 3
    # Erlang's queue, whose work varies more, needs at least as many.
    rate = flat.rate(0)
    assert wait_quantile(plan.nodes - 2, rate, load / rate, 0.95) > 30 or plan.nodes <= 3


def test_a_lost_node_costs_a_node() -> None:
    demand = Demand(minutes_a_day=10)
    assert plan_capacity(TIMES, demand, Objective(lost_nodes=0)).nodes == 1
    assert plan_capacity(TIMES, demand, Objective(lost_nodes=1)).nodes == 2


def test_batches_and_slots_save_nodes() -> None:
    demand = Demand(minutes_a_day=10_000)
    one, batched, two = (
        plan_capacity(TIMES, demand, objective).nodes
        for objective in (Objective(), Objective(batch=4), Objective(slots=2))
    )
    assert batched < one
    assert two < one


@pytest.mark.slow
def test_a_part_stands_for_the_whole_on_the_safe_side() -> None:
    small = plan_capacity(TIMES, Demand(minutes_a_day=100_000), Objective())
    large = plan_capacity(TIMES, Demand(minutes_a_day=1_000_000), Objective())
    assert 0.9 * 10 * small.nodes <= large.nodes <= 1.3 * 10 * small.nodes
    assert large.scaled_node_hours is None
    assert small.scaled_node_hours is not None
    assert small.scaled_node_hours < small.node_hours


@pytest.mark.slow
def test_what_cannot_be_kept_is_said() -> None:
    """Jobs of an hour: whoever loses one to a node has waited long, however many nodes there are."""
    hours = TIMES.model_copy(update={"dubs": (Measured(clip_s=10, work_s=600),)})
    with pytest.raises(WrongUse, match="objective_out_of_reach"):
        plan_capacity(hours, Demand(minutes_a_day=12), Objective(wait_s=1))


def test_the_same_seed_gives_the_same_plan_and_money_is_counted() -> None:
    demand, objective = Demand(minutes_a_day=2000), Objective(price=2.5)
    first, second = (plan_capacity(TIMES, demand, objective, seed=3) for _ in range(2))
    assert first == second
    assert first.cost == pytest.approx(2.5 * 24 * first.nodes)
    assert first.scaled_cost is not None
    assert first.scaled_cost < first.cost


def test_what_is_shipped_says_that_it_is_of_the_embedded_world() -> None:
    times = load_times("embedded-cpu")
    assert times.world == "embedded"
    assert not times.assumption
    assert times.label.startswith("embedded world, measured")
    assert {one.clip_s for one in times.dubs} > {2.0}
    assert times.device_s_per_minute > 0


def test_a_guess_is_labelled_as_one_and_nonsense_is_refused(tmp_path: Path) -> None:
    assert "ASSUMED" in assumed(30, "one H100", "real", 120).label
    for content in ("{}", "[]", "nothing", json.dumps({**TIMES.model_dump(mode="json"), "batch_share": {"1": 0.5}})):
        (tmp_path / "t.json").write_text(content)
        with pytest.raises(BadInput, match="bad_service_times"):
            load_times(str(tmp_path / "t.json"))
    with pytest.raises(BadInput, match="bad_service_times"):
        load_times("nobody")


def test_the_verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["dubflow", "capacity", *words])
        capsys.readouterr()
        return program._run()

    assert run("--minutes", "10", "--minutes", "500", "--price", "2", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [one["minutes_a_day"] for one in answer["plans"]] == [10, 500]
    assert "embedded world" in answer["label"]
    assert run("--minutes", "100", "--device-seconds", "30", "--machine", "an H100 of ours") == 0
    said = capsys.readouterr().out
    assert "ASSUMED: an H100 of ours" in said
    assert run("--minutes", "100", "--device-seconds", "30", "--batch", "4", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "platform.no_batches_measured"
