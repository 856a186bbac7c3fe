"""A score card in a terminal: what failed first, then the figures by what they are about, then what has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.judging.card.rows import Aggregate, ClipScore, Metric, Population, ScoreCard

_FAILURES_SHOWN = 10
_COSTS = {"device_s_per_minute": "Seconds of work a minute of dubbed clip"}


def print_card(console: Console, card: ScoreCard) -> None:
    """Failures, figures with their intervals, gaps by name."""
    from dubflow.judging.page.words import figure

    failed = [row for row in card.rows if row.status != "ok"]
    _say(console, f"{card.system} on {card.benchmark} ({card.world} world)", bold=True)
    _print_failures(console, failed, len(card.rows))
    _print_figures(console, card)
    for name, cost in card.costs.items():
        _say(console, f"{_COSTS.get(name, name)}: {figure(cost)}")
    print_gaps(console, card.gaps)


def print_gaps(console: Console, gaps: Mapping[str, str]) -> None:
    """Metrics without a judge, those with one reason together."""
    if not gaps:
        return
    _say(console, "Not judged:", bold=True)
    by_reason: dict[str, list[str]] = {}
    for name, reason in gaps.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        _say(console, f"{', '.join(names)}: {reason}", indent=2)


def _print_failures(console: Console, failed: Sequence[ClipScore], clips: int) -> None:
    if not failed:
        _say(console, f"All {clips} clips were delivered")
        return
    _say(console, f"{len(failed)} of {clips} clips failed; they count at their worst:", bold=True)
    for row in failed[:_FAILURES_SHOWN]:
        _say(console, f"{row.clip} ({row.status}): {row.reason}", indent=2)
    if len(failed) > _FAILURES_SHOWN:
        _say(console, f"and {len(failed) - _FAILURES_SHOWN} more; the card has them all", indent=2)


def _print_figures(console: Console, card: ScoreCard) -> None:
    from rich.table import Table
    from rich.text import Text

    from dubflow.judging.listings import LISTINGS

    groups = {one.name: one.group for one in LISTINGS}
    places = {one.name: place for place, one in enumerate(LISTINGS)}
    overall = {(one.metric, one.population): one for one in card.aggregates if one.by == "all"}
    there = {name for name, _ in overall}
    metrics = [metric for metric in card.metrics if metric.name in there]
    metrics.sort(key=lambda metric: places.get(metric.name, len(places)))
    both = any(_differ(overall, metric) for metric in metrics)
    table = Table(box=None, pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("all clips" if both else "figure", no_wrap=True)
    if both:
        table.add_column("delivered", justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("judge", overflow="fold")
    for group, members in groupby(metrics, key=lambda metric: groups.get(metric.name, "other")):
        table.add_row(Text(group, style="bold"))
        for metric in members:
            table.add_row(*(Text(cell) for cell in _row(metric, overall, both)))
        table.add_section()
    console.print(table)
    if both:
        _say(console, "All clips: what failed or could not be measured counts at its worst. Delivered: without these.")
    level = next((one.level for one in card.aggregates if one.low is not None), None)
    if level is not None:
        _say(console, f"In brackets: {100 * level:.0f} % intervals over clips. ↑ more is better, ↓ less, 0 near zero.")


Overall: TypeAlias = "Mapping[tuple[str, Population], Aggregate]"


def _differ(overall: Overall, metric: Metric) -> bool:
    """Whether failures move the figure (that of the success rate is made of them)."""
    counted, delivered = overall.get((metric.name, "intention_to_treat")), overall.get((metric.name, "successes"))
    failed = counted is not None and counted.at_worst > 0
    return failed and delivered is not None and metric.name != "success_rate"


def _row(metric: Metric, overall: Overall, both: bool) -> list[str]:
    from dubflow.judging.page.words import figure

    delivered = overall.get((metric.name, "successes"))
    main = overall.get((metric.name, "intention_to_treat")) or overall[metric.name, "successes"]
    arrow = {"higher": "↑", "lower": "↓", "near_zero": "0", "none": ""}[metric.better]
    name = f"  {metric.name} {arrow}".rstrip()
    span = main.high - main.low if main.low is not None and main.high is not None else None
    text = figure(main.value, span)
    if span is not None:
        text += f" [{figure(main.low, span)}, {figure(main.high, span)}]"
    text += f" {metric.unit}" if metric.unit else ""
    judge = f"{metric.judge}, failed on {main.unjudged}" if main.unjudged else metric.judge
    second = [figure(delivered.value, span) if delivered is not None and _differ(overall, metric) else ""]
    return [name, text, *(second if both else []), str(main.clips), judge]


def _say(console: Console, text: str, *, bold: bool = False, indent: int = 0) -> None:
    from rich.padding import Padding
    from rich.text import Text

    # Text, because a file's [name] would be markup; padded, so that a long line's rest stands under its beginning.
    console.print(Padding(Text(text, style="bold" if bold else ""), (0, 0, 0, indent), expand=False), highlight=False)
