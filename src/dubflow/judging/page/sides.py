"""The two systems that a page shows, with their figures at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dubflow.judging.card.rows import ALL, Aggregate, Metric, Population, ScoreCard, Slicing

Kind = Literal["challenger", "champion"]


@dataclass(frozen=True, eq=False)
class Side:
    """One system's card; figures by metric, population, slicing and group."""

    kind: Kind
    card: ScoreCard
    figures: Mapping[tuple[str, Population, Slicing, str], Aggregate]

    def figure(self, metric: Metric, population: Population, by: Slicing = "all", group: str = ALL) -> Aggregate | None:
        """The aggregate of exactly that, where the card has it.

        None as well where the card says that the metric's judge was missing, whoever made the card.
        """
        if metric.judge in self.card.gaps:
            return None
        return self.figures.get((metric.name, population, by, group))


def both_sides(challenger: ScoreCard, champion: ScoreCard | None) -> tuple[Side, ...]:
    """The challenger, and the champion where there is one."""
    first = _side("challenger", challenger)
    return (first,) if champion is None else (first, _side("champion", champion))


def _side(kind: Kind, card: ScoreCard) -> Side:
    return Side(kind, card, {(a.metric, a.population, a.by, a.group): a for a in card.aggregates})
