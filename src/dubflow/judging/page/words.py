"""Figures and names in plain words, and the pieces that several sections use."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dubflow.judging.card.rows import Aggregate, Metric, Population, Slicing
from dubflow.judging.page.markup import Markup, element, join

POPULATIONS: dict[Population, str] = {
    "intention_to_treat": "Every clip, failures counted at their worst",
    "successes": "Clips that succeeded",
}
SLICINGS: dict[Slicing, str] = {
    "all": "All clips",
    "language_pair": "Language pair",
    "speaker": "Speaker",
    "length": "Length",
    "difficulty": "Difficulty",
}
DIRECTIONS = {
    "higher": "higher is better",
    "lower": "lower is better",
    "near_zero": "nearer to zero is better",
    "none": "shown, not judged",
}
_MOST_DECIMALS = 4


def titled(metric: Metric) -> str:
    """A metric's name with its unit."""
    return f"{metric.name} ({metric.unit})" if metric.unit else metric.name


def figure(value: float | None, span: float | None = None) -> str:
    """``value`` in as many decimals as its uncertainty ``span`` (high - low) warrants, else three digits.

    A figure that is not there is an en dash.
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    # Two digits of the uncertainty, or three of the figure where that is not known.
    digits, size = (2, span) if span else (3, value)
    decimals = digits - 1 - math.floor(math.log10(abs(size))) if size else 0
    text = f"{value:.{min(max(decimals, 0), _MOST_DECIMALS)}f}"
    if not span and "." in text:
        text = text.rstrip("0").rstrip(".")
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def with_interval(aggregate: Aggregate) -> Markup:
    """``0.12 [0.10, 0.14]``."""
    if aggregate.low is None or aggregate.high is None:
        return join(figure(aggregate.value))
    span = aggregate.high - aggregate.low
    ends = f"[{figure(aggregate.low, span)}, {figure(aggregate.high, span)}]"
    return join(figure(aggregate.value, span), " ", element("span", ends, class_="range"))


def untrusted(text: str, name: str = "bdi", **attributes: str) -> Markup:
    """Text that others wrote, kept from turning the direction of what stands around it."""
    return element(name, text, dir="auto", **attributes)


def short(digest: str | None) -> Markup:
    """The first digits of a digest; all of them on hover."""
    return join("none") if digest is None else element("code", digest[:16], title=digest)


def key(champion: bool) -> Markup:
    """Which mark is whose."""
    circle = element("svg", element("circle", cx=7, cy=7, r=5), viewBox="0 0 14 14", aria_hidden="true")
    diamond = element("svg", element("path", d="M7 1 l6 6 l-6 6 l-6 -6Z"), viewBox="0 0 14 14", aria_hidden="true")
    return element(
        "p",
        element("span", circle, "challenger", class_="challenger"),
        element("span", diamond, "champion", class_="champion") if champion else None,
        class_="key",
    )


def plain_list(facts: Sequence[tuple[str, Markup | str]]) -> Markup:
    """Names and what they are."""
    return element("dl", [join(element("dt", untrusted(k)), element("dd", v)) for k, v in facts], class_="plain")


def search_box(what: str, placeholder: str) -> Markup:
    """A field that searches the table below it; hidden until the script that answers it runs."""
    return element(
        "div",
        element("label", f"Search {what}", for_="search"),
        element("input", type="search", id="search", autocomplete="off", placeholder=placeholder),
        element("span", id="found", role="status", class_="soft"),
        class_="search",
        hidden=True,
    )


def table(
    caption: str, heads: Sequence[Markup | str], rows: Sequence[Markup], *, tall: bool = False, name: str | None = None
) -> Markup:
    """A table in a region that scrolls by itself, by keyboard too; ``name`` becomes its id."""
    head = element("thead", element("tr", [element("th", head, scope="col") for head in heads]))
    return element(
        "div",
        element("table", element("caption", caption), head, element("tbody", rows), id=name),
        class_="scroll tall" if tall else "scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )
