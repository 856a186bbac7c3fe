"""``dubflow capacity``: how many nodes a day of dubbing takes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.platform.capacity.planning import Capacity
    from dubflow.platform.capacity.times import ServiceTimes


class ShapeName(StrEnum):
    """How a day goes."""

    FLAT = "flat"
    OFFICE = "office"


COLUMNS = ("minutes a day", "jobs", "nodes", "p95 wait s", "busiest hour %", "day %", "node hours", "scaled by queue")


def capacity(
    minutes: Annotated[list[float], typer.Option(min=0.001, help="Minutes of clip a day; may be given several times.")],
    times: Annotated[
        str, typer.Option(help="Measured service times: a JSON file, or embedded-cpu, which is shipped.")
    ] = "embedded-cpu",
    device_seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="Instead: your own figure, seconds of a node a dubbed minute; an assumption."),
    ] = None,
    machine: Annotated[str, typer.Option(help="With --device-seconds: what a node is.")] = "a node of yours",
    cold_start: Annotated[float, typer.Option(min=0, help="With --device-seconds: seconds to the first dub.")] = 120.0,
    wait: Annotated[float, typer.Option(min=0.1, help="Seconds that 95 % of the jobs may wait at the most.")] = 60.0,
    clip: Annotated[float, typer.Option(min=0.1, help="Mean length of a clip, seconds.")] = 60.0,
    shape: Annotated[ShapeName, typer.Option(help="How the day goes.")] = ShapeName.OFFICE,
    slots: Annotated[int, typer.Option(min=1, help="Dubs, or batches of them, that a node makes at once.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Dubs of a batch, at most.")] = 1,
    lost: Annotated[int, typer.Option(min=0, help="Nodes that are lost as the busiest hour begins.")] = 1,
    price: Annotated[float | None, typer.Option(min=0, help="Of a node's hour.")] = None,
    seed: Annotated[int, typer.Option(help="Of the simulated days.")] = 0,
    as_json: Json = False,
) -> None:
    """Nodes, found by simulating the busiest hours from measured service times, with a node lost at their beginning.

    `--slots` says that a node makes several dubs at once, each as fast as alone: measure that before you say it.
    """
    from dubflow.platform.capacity.demand import Demand
    from dubflow.platform.capacity.planning import Objective, plan_capacity
    from dubflow.platform.capacity.times import assumed, load_times

    given = load_times(times) if device_seconds is None else assumed(device_seconds, machine, "real", cold_start)
    objective = Objective(wait_s=wait, slots=slots, batch=batch, lost_nodes=lost, price=price)
    found = [
        plan_capacity(given, Demand(minutes_a_day=one, clip_s=clip, shape=shape.value), objective, seed)
        for one in minutes
    ]
    answer = {
        "label": given.label,
        "times": given.model_dump(mode="json", exclude={"dubs"}),
        "objective": objective.model_dump(mode="json"),
        "plans": [one.as_dict() for one in found],
    }
    emit(answer, as_json, lambda console: _print(console, given, found))


def row(one: Capacity) -> tuple[object, ...]:
    """A plan as the table shows it."""
    follows = (
        "" if one.scaled_node_hours is None else f"{one.scaled_node_hours:,.1f} h, p95 {one.scaled_wait_p95:,.0f} s"
    )
    return (
        f"{one.minutes_a_day:,.0f}", f"{one.jobs_a_day:,.0f}", f"{one.nodes:,}", f"{one.wait_p95:.1f}",
        f"{100 * one.busiest_utilisation:.0f}", f"{100 * one.day_utilisation:.0f}", f"{one.node_hours:,.0f}", follows,
    )  # fmt: skip


def _print(console: Console, times: ServiceTimes, found: list[Capacity]) -> None:
    rows = [row(one) for one in found]
    print_table(console, f"{times.device_s_per_minute:.1f} s of a node a dubbed minute ({times.label})", COLUMNS, rows)
    for one in found:
        if one.cost is not None:
            scaled = "" if one.scaled_cost is None else f", {one.scaled_cost:,.2f} where nodes follow the queue"
            console.print(
                f"{one.minutes_a_day:,.0f} minutes: {one.cost:,.2f} a day, {one.cost / one.minutes_a_day:.4f} a minute"
                f"{scaled}",
                highlight=False,
            )
