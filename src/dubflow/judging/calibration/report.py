"""The calibration as Markdown: every metric's figure under every condition, and the orders that were found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dubflow.judging.calibration.conditions import CONDITIONS
from dubflow.judging.calibration.orders import FEWEST_CLIPS, Finding, Outcome
from dubflow.judging.card.rows import Aggregate, Metric, ScoreCard
from dubflow.judging.listings import LISTINGS, Group

_OUTCOMES: tuple[Outcome, ...] = ("shown", "unclear", "contradicted", "no figure")
_WIDEST = 8
"""Columns of figures in one table."""


def figures_tables(cards: Mapping[str, ScoreCard]) -> str:
    """A table a group of metrics: a row a condition, a column a metric; ``cards`` are by condition.

    Figures count failures at their worst where the metric has a worst.
    """
    metrics = {metric.name: metric for card in cards.values() for metric in card.metrics}
    groups: dict[Group, list[Metric]] = {}
    for one in LISTINGS:
        if one.name in metrics:
            groups.setdefault(one.group, []).append(metrics[one.name])
    tables = []
    for group, found in groups.items():
        for start in range(0, len(found), _WIDEST):
            tables.append(_table(group, found[start : start + _WIDEST], cards))
    return "\n\n".join(tables)


def _table(group: Group, metrics: Sequence[Metric], cards: Mapping[str, ScoreCard]) -> str:
    heads = [
        f"{metric.name}{f' ({metric.unit})' if metric.unit else ''} {_ARROWS[metric.better]}" for metric in metrics
    ]
    lines = [_row([group, *heads]), _row(["---"] * (len(metrics) + 1))]
    for condition in CONDITIONS:
        card = cards.get(condition.name)
        if card is not None:
            lines.append(_row([condition.name, *(_figure(card, metric) for metric in metrics)]))
    return "\n".join(lines)


_ARROWS = {"higher": "↑", "lower": "↓", "near_zero": "→0", "none": ""}


def _figure(card: ScoreCard, metric: Metric) -> str:
    population = "successes" if metric.worst is None else "intention_to_treat"
    found: Aggregate | None = next(
        (one for one in card.aggregates if (one.metric, one.population, one.by) == (metric.name, population, "all")),
        None,
    )
    return "–" if found is None else f"{found.value:.3g}"


def findings_table(findings: Sequence[Finding]) -> str:
    """A line a metric: how many of its orders are shown, and those that are not, with their figures."""
    lines = [_row(["metric", "orders", *_OUTCOMES[:3], "not shown: difference [95 % interval]"]), _row(["---"] * 6)]
    names = list(dict.fromkeys(one.order.metric for one in findings))
    for name in sorted(names, key=_place):
        own = [one for one in findings if one.order.metric == name]
        counts = Counter(one.outcome for one in own)
        others = "; ".join(_said(one) for one in own if one.outcome != "shown")
        lines.append(_row([name, len(own), *(counts[outcome] for outcome in _OUTCOMES[:3]), others]))
    total = Counter(one.outcome for one in findings)
    lines.append(_row(["all", len(findings), *(total[outcome] for outcome in _OUTCOMES[:3]), ""]))
    return "\n".join(lines)


def _place(metric: str) -> int:
    return next(place for place, one in enumerate(LISTINGS) if one.name == metric)


def _said(finding: Finding) -> str:
    order = str(finding.order).partition(": ")[2].replace("<", "&lt;")
    if finding.difference is None:
        return f"{order}: {finding.outcome}"
    bold = "**" if finding.outcome == "contradicted" else ""
    few = f" ({finding.clips} clips)" if finding.clips < FEWEST_CLIPS else ""
    return f"{bold}{order}{bold}: {finding.difference:+.3g} [{finding.low:.3g}, {finding.high:.3g}]{few}"


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
