"""Metric by metric: figures with intervals, drawn and written, what they mean, and why one is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dubflow.judging.card.rows import Aggregate, Metric, Population, ScoreCard
from dubflow.judging.page.markup import Markup, element, join
from dubflow.judging.page.plots import Dot, intervals, span
from dubflow.judging.page.sides import Side
from dubflow.judging.page.words import DIRECTIONS, POPULATIONS, key, titled, untrusted, with_interval

_ORDER: tuple[Population, ...] = ("intention_to_treat", "successes")
_USUAL_LEVEL = 0.95


def metrics_section(sides: Sequence[Side], metrics: Sequence[Metric], parts: Mapping[str, Sequence[str]]) -> Markup:
    """A card for each of ``metrics``; ``parts`` says which part in the verdict a metric plays."""
    return element(
        "section",
        element("h2", "Metrics"),
        element("p", element("strong", "Success rate. "), " ".join(_success(side) for side in sides)),
        element(
            "p",
            "Dots are figures, bars their bootstrap intervals (95 % unless said). Where no clip failed, both "
            "populations are the same and one is shown.",
            class_="soft",
        ),
        key(len(sides) > 1),
        element("div", [_metric(metric, sides, parts.get(metric.name, ())) for metric in metrics], class_="grid"),
        id="metrics",
    )


def _success(side: Side) -> str:
    done, of = sum(row.status == "ok" for row in side.card.rows), len(side.card.rows)
    return f"{side.kind.capitalize()}: {done} of {of} clips ({100 * side.card.success_rate:.1f} %)."


def _metric(metric: Metric, sides: Sequence[Side], parts: Sequence[str]) -> Markup:
    body = [_population(metric, population, sides) for population in _populations(metric, sides)]
    if not body:
        why = untrusted(_why_absent(metric, sides[0].card))
        body = [element("p", "No figure on this card: ", why, class_="absent")]
    tags = [element("span", part, class_="tag") for part in (*parts, DIRECTIONS[metric.better])]
    return element(
        "article",
        element("h3", titled(metric)),
        element("p", tags, class_="tags"),
        body,
        element(
            "details",
            element("summary", "Definition and comparability"),
            element("p", untrusted(metric.definition)),
            element("p", element("strong", "May be compared with: "), untrusted(metric.comparable_with)),
            element("p", element("strong", "Judge: "), untrusted(metric.judge)),
            None if metric.worst is None else element("p", f"A clip without a figure counts {metric.worst:g}."),
        ),
        class_="card metric",
    )


def _populations(metric: Metric, sides: Sequence[Side]) -> list[Population]:
    """Those that have figures; only the first where both say the same."""
    figures = {population: [side.figure(metric, population) for side in sides] for population in _ORDER}
    there = [population for population in _ORDER if any(figures[population])]
    if len(there) < 2:
        return there
    first, second = ([one and (one.value, one.clips) for one in figures[population]] for population in there)
    return there[:1] if first == second else there


def _population(metric: Metric, population: Population, sides: Sequence[Side]) -> Markup:
    axis = _axis(metric, sides)
    dots, written, said = [], [], []
    for side in sides:
        found = side.figure(metric, population)
        written.append(element("dt", side.kind, class_=side.kind))
        if found is None:
            written.append(element("dd", "no figure"))
            continue
        dots.append(_dot(side, found))
        written.append(element("dd", with_interval(found), element("span", _basis(found), class_="soft")))
        bounds = "" if found.low is None else f" ({found.low:.4g} to {found.high:.4g})"
        said.append(f"{side.kind} {found.value:.4g}{bounds}")
    return join(
        element("p", POPULATIONS[population], class_="population"),
        intervals(dots, f"{metric.name}: {', '.join(said)}", axis),
        element("dl", written, class_="figures"),
    )


def _dot(side: Side, found: Aggregate) -> Dot:
    return Dot(side.kind, found.value, found.low, found.high)


def _axis(metric: Metric, sides: Sequence[Side]) -> tuple[float, float] | None:
    """One axis for both populations, so that what failures cost can be seen."""
    figures = [(side, side.figure(metric, population)) for side in sides for population in _ORDER]
    dots = [_dot(side, found) for side, found in figures if found is not None]
    return span(dots) if dots else None


def _basis(found: Aggregate) -> str:
    level = "" if found.level == _USUAL_LEVEL or found.low is None else f", {100 * found.level:g} % interval"
    worst = f", {found.at_worst} at worst" if found.at_worst else ""
    unjudged = f", {found.unjudged} unjudged" if found.unjudged else ""
    return f" n = {found.clips}{worst}{unjudged}{level}"


def _why_absent(metric: Metric, card: ScoreCard) -> str:
    if metric.judge in card.gaps:
        return f"the judge {metric.judge} is missing: {card.gaps[metric.judge]}"
    reasons = sorted({row.reasons[metric.name] for row in card.rows if metric.name in row.reasons})
    return "; ".join(reasons[:3]) or "no clip has one"
