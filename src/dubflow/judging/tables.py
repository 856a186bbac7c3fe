"""Tables in the shape of both papers' tables, of any systems' score cards.

Each column names the metric of ours that stands in it; what nobody judged is a dash with its reason. The papers' own
figures are never put beside ours: their judges, clips and worlds are others. Where clips failed, a system has two rows:
what it delivered, as the papers count, and everything that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.rows import Aggregate, Population, ScoreCard
from dubflow.judging.kinds import JUDGES
from dubflow.judging.listings import LISTINGS
from dubflow.judging.table_shapes import SHAPES, Column, Shape

_ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}
_ENOUGH = 0.5
"""Share of the clips that a metric must count in to stand before the next that could."""


@dataclass(frozen=True)
class Labelled:
    """A card for a table.

    Attributes:
        group: the setting (``1.0``, ``2.0``) or the tier that it stands in; empty: 2.0, and the benchmark's name.
    """

    card: ScoreCard
    group: str = ""


@dataclass(frozen=True)
class Cell:
    """A figure as printed and as it is, or a dash with the reason why there is none."""

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    clips: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the table; ``tier`` is the group of rows that it stands in."""

    tier: str
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A finished table.

    Attributes:
        heads: of the figures' columns, with arrows. settings: over each of ``heads``; empty where there is one group.
        notes: what stands in which column, and what a reader must know.
    """

    shape: str
    caption: str
    heads: tuple[str, ...]
    settings: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def reasons(self) -> tuple[str, ...]:
        """Why there are dashes, each once, in the order of the rows."""
        return tuple(dict.fromkeys(cell.reason for row in self.rows for cell in row.cells if cell.reason))

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        rows = [
            {"tier": row.tier, "label": row.label, "cells": [vars(cell) for cell in row.cells]} for row in self.rows
        ]
        return {
            "shape": self.shape,
            "caption": self.caption,
            "heads": list(self.heads),
            "settings": list(self.settings),
            "rows": rows,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Slot:
    """A column in a setting, and the metric that stands in it."""

    setting: str
    column: Column
    metric: str | None


@dataclass
class _Group:
    """Rows to be: a tier, a system, its card by setting."""

    tier: str
    system: str
    cards: dict[str, ScoreCard] = field(default_factory=dict)


def shape_of(name: str) -> Shape:
    """The shape of a paper's table.

    Raises:
        WrongUse: ``judging.unknown_table``.
    """
    for one in SHAPES:
        if one.name == name:
            return one
    raise WrongUse(
        "judging.unknown_table", f"There is no table {name!r}.", f"Known: {', '.join(one.name for one in SHAPES)}."
    )


def build_table(name: str, cards: Sequence[Labelled], *, mixed: bool = False) -> Table:
    """The table of that name (``justdubit-1`` to ``-3``, ``diflowdubber-1`` to ``-5``) with a row a system.

    Args:
        mixed: take cards of different protocols, too; the table then says so.

    Raises:
        WrongUse: ``judging.unknown_table``, ``judging.unknown_setting``.
        BadInput: ``judging.mixed_protocols``, ``judging.same_row`` where two cards would stand in one row and setting.
    """
    shape = shape_of(name)
    groups = _groups(shape, cards)
    slots = _slots(shape, [one.card for one in cards])
    apart = _apart(groups, {slot.metric for slot in slots if slot.metric})
    if apart and not mixed:
        raise BadInput(
            "judging.mixed_protocols", apart, "Judge all systems alike, or say --mixed to see them side by side."
        )
    rows = [row for group in groups for row in _rows(group, slots)]
    worlds: set[str] = {one.card.world for one in cards}
    return Table(
        shape=name,
        caption=_caption(shape, groups, worlds),
        heads=tuple(f"{slot.column.head}{_ARROWS[slot.column.better]}" for slot in slots),
        settings=tuple(slot.setting for slot in slots) if shape.settings else (),
        rows=tuple(rows),
        notes=(*_notes(slots, groups), *([f"Not to be compared: {apart}"] if apart else [])),
    )


def _groups(shape: Shape, cards: Sequence[Labelled]) -> list[_Group]:
    found: dict[tuple[str, str], _Group] = {}
    for one in cards:
        setting = (one.group or shape.settings[-1]) if shape.settings else ""
        if shape.settings and setting not in shape.settings:
            raise WrongUse(
                "judging.unknown_setting",
                f"The table {shape.name} has no setting {setting!r}.",
                f"Name one of {', '.join(shape.settings)}, as in {shape.settings[0]}=FOLDER.",
            )
        tier = (one.group or one.card.benchmark) if shape.tiers else ""
        group = found.setdefault((tier, one.card.system), _Group(tier, one.card.system))
        if setting in group.cards:
            raise BadInput(
                "judging.same_row",
                f"Two cards of {one.card.system} would stand in one row.",
                "Give each system its own name, or each card its setting or tier, as in NAME=FOLDER.",
            )
        group.cards[setting] = one.card
    tiers = list(dict.fromkeys(group.tier for group in found.values()))
    return sorted(found.values(), key=lambda group: tiers.index(group.tier))


def _slots(shape: Shape, cards: Sequence[ScoreCard]) -> list[_Slot]:
    return [
        _Slot(setting, column, _standing(column, cards))
        for setting in shape.settings or ("",)
        for column in shape.columns_of(setting)
    ]


def _standing(column: Column, cards: Sequence[ScoreCard]) -> str | None:
    """The one metric that stands in the column for all cards: the nearest to the paper's that they can fill."""
    for share in (_ENOUGH, 0.0):
        for name in column.metrics:
            shares = [_share(card, name) for card in cards]
            if min(shares) > share:
                return name
    there = [name for name in column.metrics if any(_share(card, name) > 0 for card in cards)]
    return there[0] if there else next(iter(column.metrics), None)


def _share(card: ScoreCard, metric: str) -> float:
    found = _aggregate(card, metric, "successes")
    delivered = sum(row.status == "ok" for row in card.rows)
    return found.clips / max(1, delivered) if found is not None else 0.0


def _aggregate(card: ScoreCard, metric: str, population: Population) -> Aggregate | None:
    return next(
        (one for one in card.aggregates if (one.metric, one.population, one.by) == (metric, population, "all")), None
    )


def _apart(groups: Sequence[_Group], shown: set[str]) -> str:
    """What keeps the cards from being compared; empty where nothing does.

    Cards of one benchmark are of one protocol. Tiers and settings are different benchmarks, so there the judges of the
    metrics shown must be the same.
    """
    cards = [card for group in groups for card in group.cards.values()]
    if len({card.world for card in cards}) > 1:
        return "Some cards are of the embedded world, others of real recordings."
    protocols: dict[str, str] = {}
    for card in cards:
        if protocols.setdefault(card.benchmark, card.protocol.id) != card.protocol.id:
            return f"Cards of the benchmark {card.benchmark} are of different protocols."
    pins: dict[str, Any] = {}
    for card in cards:
        for metric in card.metrics:
            if metric.name in shown:
                parts = card.protocol.parts
                how = (parts.judges[metric.judge], parts.metrics[metric.name], parts.sample_rate, parts.crops)
                if pins.setdefault(metric.name, how) != how:
                    return f"{metric.name} was judged in different ways."
    return ""


def _rows(group: _Group, slots: Sequence[_Slot]) -> list[Row]:
    cards = group.cards.values()
    failed = any(row.status != "ok" for card in cards for row in card.rows) or any(
        one.at_worst for card in cards for one in card.aggregates if one.metric in {slot.metric for slot in slots}
    )
    kinds: list[tuple[Population, str]] = [("successes", group.system)]
    if failed:
        kinds.append(("intention_to_treat", f"{group.system}, failures counted"))
    return [
        Row(group.tier, label, tuple(_cell(slot, group.cards.get(slot.setting), population) for slot in slots))
        for population, label in kinds
    ]


def _cell(slot: _Slot, card: ScoreCard | None, population: Population) -> Cell:
    column = slot.column
    if card is None:
        return Cell("–", reason=f"There is no card of setting {slot.setting}.")
    if column.source == "lineage":
        said = card.lineage.get(column.key)
        return Cell(said) if said else Cell("–", reason=f"The card's lineage does not say {column.key}.")
    if column.source == "cost":
        cost = card.costs.get(column.key)
        reason = f"The card has no cost {column.key}."
        return Cell("–", reason=reason) if cost is None else _number(column, cost * column.scale)
    if slot.metric is None:
        return Cell("–", reason=f"{column.head}: {column.note}")
    if slot.metric == "success_rate":  # of everything that was asked for, in both rows
        return _number(column, card.success_rate * column.scale, clips=len(card.rows))
    found = _aggregate(card, slot.metric, population)
    if found is None:
        return Cell("–", reason=_why(card, slot.metric, population))
    low, high = (None if edge is None else edge * column.scale for edge in (found.low, found.high))
    return _number(column, found.value * column.scale, low, high, found.clips)


def _number(
    column: Column, value: float, low: float | None = None, high: float | None = None, clips: int | None = None
) -> Cell:
    return Cell(f"{value:.{column.decimals}f}", value, low, high, clips)


def _why(card: ScoreCard, name: str, population: Population) -> str:
    metric = card.metric(name)
    if metric is not None and _aggregate(card, name, "successes") is not None:
        return f"{name} has no worst value that a failure could count."
    listing = next(one for one in LISTINGS if one.name == name)
    told = card.gaps.get(name) or (card.gaps.get(metric.judge) if metric is not None else None)
    own = sorted({row.reasons[name] for row in card.rows if name in row.reasons})
    kind = JUDGES.get(listing.wanting)
    reason = told or (own[0] if own else "") or (kind.gap if kind is not None else "") or "it was not asked for."
    return f"{name}: {reason}"


def _caption(shape: Shape, groups: Sequence[_Group], worlds: set[str]) -> str:
    world = "embedded world" if worlds == {"embedded"} else "real recordings"
    if len(worlds) > 1:
        world = "embedded world and real recordings"
    names = list(dict.fromkeys(card.benchmark for group in groups for card in group.cards.values()))
    return f"In the shape of {shape.title}. {world.capitalize()}; benchmark {', '.join(names)}. Own measurements only."


def _notes(slots: Sequence[_Slot], groups: Sequence[_Group]) -> list[str]:
    """One a column: which metric stands in it, by whose judgement, and what that may be compared with."""
    notes = []
    for column in dict.fromkeys(slot.column for slot in slots):
        name = next(slot.metric for slot in slots if slot.column == column)
        if column.source != "metric":
            notes.append(f"{column.head}: {column.note}")
        elif name is not None:
            own = [card.metric(name) for group in groups for card in group.cards.values()]
            metric = next((one for one in own if one is not None), None)
            if metric is not None:  # else each dash says why
                words = [f"{column.head}: {name} by {metric.judge}.", column.note, "May stand beside:"]
                notes.append(" ".join(word for word in (*words, metric.comparable_with) if word))
    return notes
