"""The same figures by language pair, speaker, length and difficulty."""

from __future__ import annotations

from collections.abc import Sequence

from dubflow.judging.card.rows import SLICINGS as ORDER
from dubflow.judging.card.rows import Aggregate, Metric, Slicing
from dubflow.judging.page.markup import Markup, element
from dubflow.judging.page.regressions import badness
from dubflow.judging.page.sides import Side
from dubflow.judging.page.words import SLICINGS, key, table, titled, untrusted, with_interval


def slices_section(sides: Sequence[Side], metrics: Sequence[Metric], *, comparable: bool) -> Markup:
    """A table for each slicing: groups down, metrics across, both systems in a cell.

    Args:
        comparable: whether the two may be held against each other.
    """
    tables = [_slicing(by, sides, metrics, comparable) for by in ORDER if by != "all"]
    shown = [one for one in tables if one is not None]
    return element(
        "section",
        element("h2", "Slices"),
        element(
            "p",
            "In a cell: the figure, its interval, and the number of clips. Every clip of the group counts, failures at "
            "their worst; metrics that have no worst are of the clips that succeeded. Two intervals that do not touch "
            "are marked as apart; whether a slice decides is the gate's word, in the verdict.",
            class_="soft",
        ),
        key(len(sides) > 1),
        shown or element("p", "The card has no slices."),
        id="slices",
    )


def _slicing(by: Slicing, sides: Sequence[Side], metrics: Sequence[Metric], comparable: bool) -> Markup | None:
    there = [a for side in sides for a in side.card.aggregates if a.by == by]
    groups, names = sorted({a.group for a in there}), {a.metric for a in there}
    used = [metric for metric in metrics if metric.name in names]
    if not used:
        return None
    rows = [
        element(
            "tr",
            element("th", untrusted(group), scope="row"),
            [_cell(metric, by, group, sides, comparable) for metric in used],
        )
        for group in groups
    ]
    content = table(f"By {SLICINGS[by].lower()}", [SLICINGS[by], *(titled(metric) for metric in used)], rows)
    if by != "speaker":
        return content
    return element("details", element("summary", f"By speaker ({len(groups)})"), content)


def _cell(metric: Metric, by: Slicing, group: str, sides: Sequence[Side], comparable: bool) -> Markup:
    found = [(side.kind, _figure(side, metric, by, group)) for side in sides]
    lines = [
        element("span", with_interval(one), element("span", f" n = {one.clips}", class_="range"), class_=kind)
        for kind, one in found
        if one is not None
    ]
    apart = _apart(metric, found[0][1], found[1][1]) if comparable and len(found) == 2 else None
    return element("td", lines or "–", apart, class_="figure")


def _figure(side: Side, metric: Metric, by: Slicing, group: str) -> Aggregate | None:
    return side.figure(metric, "intention_to_treat", by, group) or side.figure(metric, "successes", by, group)


def _apart(metric: Metric, now: Aggregate | None, then: Aggregate | None) -> Markup | None:
    """A word where the intervals do not touch."""
    if now is None or then is None or metric.better == "none" or now.population != then.population:
        return None
    if now.low is None or now.high is None or then.low is None or then.high is None:
        return None
    if now.low <= then.high and then.low <= now.high:
        return None
    worse = badness(metric, now.value) > badness(metric, then.value)
    return element("span", "▼ apart, worse" if worse else "▲ apart, better", class_="bad" if worse else "good")
