"""Figures for tools are the card's own, under the name of their world."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from dubflow.judging.card.figures import figures_by, write_figures
from judging.card.samples import sample_card


def test_the_files_say_what_the_card_says(tmp_path: Path) -> None:
    card = sample_card()
    metrics, table = write_figures(card, tmp_path / "figures")
    (world, numbers), *more = json.loads(metrics.read_text()).items()
    assert (world, more, numbers.pop("clips")) == (card.world, [], len(card.rows))
    for name, figure in numbers.items():
        there = {(one.value, one.population): one for one in card.aggregates if one.metric == name and one.by == "all"}
        populations = {population for _, population in there}
        wanted = "intention_to_treat" if "intention_to_treat" in populations else "successes"
        one = there[figure["value"], wanted]
        assert (figure.get("low"), figure.get("high")) == (one.low, one.high)
    assert set(numbers) == {one.metric for one in card.aggregates if one.by == "all"}
    rows = list(csv.DictReader(table.read_text().splitlines()))
    groups = figures_by(card, "difficulty")
    assert [row["difficulty"] for row in rows] == sorted(groups)
    for row in rows:
        told = {name: float(cell) for name, cell in row.items() if name != "difficulty" and cell}
        assert told == {name: one.value for name, one in groups[row["difficulty"]].items()}
    assert [path.read_bytes() for path in write_figures(card, tmp_path / "again")] == [
        metrics.read_bytes(),
        table.read_bytes(),
    ]
