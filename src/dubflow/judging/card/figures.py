"""A card's figures as small files for tools that compare versions: ``metrics.json`` and ``by_difficulty.csv``.

``metrics.json`` names the world first, so that nobody takes figures of drawn people for those of real ones, then for
each metric its value and the bounds of its interval. Clips that failed count, where the metric has a worst.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from dubflow.atomic import write_json, write_text
from dubflow.judging.card.rows import Aggregate, ScoreCard, Slicing

METRICS, BY_DIFFICULTY = "metrics.json", "by_difficulty.csv"


def figures_by(card: ScoreCard, by: Slicing) -> dict[str, dict[str, Aggregate]]:
    """For every group of a slicing, the figure of each metric: failures counted where they can be."""
    found: dict[str, dict[str, Aggregate]] = {}
    for one in card.aggregates:
        if one.by == by:
            group = found.setdefault(one.group, {})
            if one.population == "intention_to_treat" or one.metric not in group:
                group[one.metric] = one
    return found


def write_figures(card: ScoreCard, folder: Path) -> tuple[Path, Path]:
    """Write both files into ``folder``, made if need be; their paths. Equal cards give equal bytes."""
    folder = Path(folder)
    overall = next(iter(figures_by(card, "all").values()), {})
    numbers: dict[str, object] = {
        name: {
            "value": one.value,
            **({} if one.low is None or one.high is None else {"low": one.low, "high": one.high}),
        }
        for name, one in sorted(overall.items())
    }
    write_json(folder / METRICS, {card.world: {"clips": len(card.rows), **numbers}})
    write_text(folder / BY_DIFFICULTY, _table(card))
    return folder / METRICS, folder / BY_DIFFICULTY


def _table(card: ScoreCard) -> str:
    """A row a difficulty, a column a metric; empty where nothing could be judged."""
    groups = figures_by(card, "difficulty")
    names = sorted({name for group in groups.values() for name in group})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["difficulty", *names])
    for difficulty, group in sorted(groups.items()):
        writer.writerow([difficulty, *(repr(group[name].value) if name in group else "" for name in names)])
    return text.getvalue()
