"""Tables of the papers' shapes: right figures in right columns, dashes with reasons, nothing compared that differs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.judging.card.aggregates import build_card
from dubflow.judging.card.rows import ClipScore, JudgePin, ScoreCard, score_protocol
from dubflow.judging.listings import LISTINGS
from dubflow.judging.table_shapes import SHAPES
from dubflow.judging.table_text import markdown
from dubflow.judging.tables import Labelled, Table, build_table

FIGURES = {
    "success_rate": 1.0, "csim_embedded": 0.9, "mar_diversity_paper": 0.02, "duration_error": -0.25, "int_corr": 0.7,
    "secs": 0.8, "lmd": 0.03, "wer_legacy": 0.2, "ffe": 0.3, "gpe": 0.2, "vde": 0.1, "dnsmos_overall": 2.5,
    "mouth_offset": -2.0,
}  # fmt: skip
"""What the sample system gets on every clip; everything else has no judge."""


def card(
    system: str = "ours",
    benchmark: str = "standard",
    *,
    failed: int = 0,
    version: str = "1",
    shift: float = 0.0,
    **fields: Any,
) -> ScoreCard:
    """A card of four clips with :data:`FIGURES`, moved by ``shift``; the first ``failed`` failed."""
    metrics = [one.metric(f"judge-of-{one.group}") for one in LISTINGS if one.name in FIGURES]
    judges = {metric.judge: JudgePin(version=version) for metric in metrics}
    digest = {"standard": "ab", "hard": "cd"}.get(benchmark, "ef") * 32
    values = {name: figure + (shift if name != "success_rate" else 0) for name, figure in FIGURES.items()}
    rows = [
        ClipScore(clip=str(place), status="failed", reason="crashed")
        if place < failed
        else ClipScore(clip=str(place), status="ok", values=values)
        for place in range(4)
    ]
    given: dict[str, Any] = {"gaps": {"fid": "Inception's weights are not here; name them."}, "world": "embedded"}
    protocol = score_protocol(judges, metrics, benchmark=digest, sample_rate=16000)
    return build_card(rows, metrics, protocol, benchmark=benchmark, system=system, rounds=20, **given | fields)


def texts(table: Table, row: int = 0) -> dict[str, str]:
    settings = table.settings or [""] * len(table.heads)
    heads = [f"{head.split()[0]} {setting}".strip() for head, setting in zip(table.heads, settings, strict=True)]
    return dict(zip(heads, (cell.text for cell in table.rows[row].cells), strict=True))


def test_every_column_names_metrics_of_the_catalogue_and_every_table_of_both_papers_is_there() -> None:
    known = {one.name for one in LISTINGS}
    assert {name for shape in SHAPES for column in shape.columns for name in column.metrics} <= known
    assert [shape.name for shape in SHAPES] == [
        *(f"justdubit-{number}" for number in (1, 2, 3)), *(f"diflowdubber-{number}" for number in (1, 2, 3, 4, 5)),
    ]  # fmt: skip
    for shape in SHAPES:
        for column in shape.columns:
            assert column.metrics or column.note, f"{shape.name}: nothing stands in {column.head}, and nothing says why"


def test_figures_stand_under_the_papers_heads_in_the_papers_units() -> None:
    first = texts(build_table("justdubit-1", [Labelled(card())]))
    assert first == {
        "Succ": "100.0", "CSIM": "0.9000", "FID": "–", "FVD": "–", "MAR": "0.0200", "ASync": "2.00",
    }  # fmt: skip
    assert texts(build_table("justdubit-2", [Labelled(card())])) == {
        "Dur-Err": "0.2500", "V-SIM": "0.8000", "Int-Corr": "0.700", "WER": "–",
    }  # fmt: skip
    assert texts(build_table("diflowdubber-5", [Labelled(card())])) == {
        "FFE": "0.300", "GPE": "0.200", "VDE": "0.100", "Emo-SIM": "–",
    }  # fmt: skip


def test_settings_stand_side_by_side_and_the_listeners_column_in_one_of_them() -> None:
    one, other = card(benchmark="hard"), card(shift=0.1)
    table = build_table("diflowdubber-1", [Labelled(one, "1.0"), Labelled(other, "2.0")])
    assert len(table.rows) == 1
    cells = texts(table)
    assert (cells["SECS 1.0"], cells["SECS 2.0"], cells["WER 1.0"]) == ("80.00", "90.00", "20.00")
    assert "MOS-S 1.0" not in cells
    assert cells["MOS-S 2.0"] == "–"
    alone = build_table("diflowdubber-2", [Labelled(other)])
    assert {cell.reason for cell in alone.rows[0].cells[:5]} == {"There is no card of setting 1.0."}


def test_every_dash_has_a_reason_and_every_figure_its_metric() -> None:
    for shape in SHAPES:
        table = build_table(shape.name, [Labelled(card())])
        for row in table.rows:
            assert all((cell.text == "–") == bool(cell.reason) for cell in row.cells), shape.name
        shown = markdown(table)
        assert "Embedded world" in shown.splitlines()[0]
        assert all(f"–{number}: " in shown for number in range(1, len(table.reasons()) + 1))
    first = build_table("justdubit-1", [Labelled(card())])
    assert "fid: Inception's weights are not here; name them." in first.reasons()
    assert any(note.startswith("CSIM: csim_embedded by judge-of-face.") for note in first.notes)
    assert any("Never with CSIM" in note for note in first.notes)
    assert not any(note.startswith("FID") for note in first.notes)


def test_a_system_that_fails_has_a_row_in_which_that_counts() -> None:
    table = build_table("justdubit-2", [Labelled(card("whole")), Labelled(card("broken", failed=2))])
    assert [row.label for row in table.rows] == ["whole", "broken", "broken, failures counted"]
    assert [row.cells[1].value for row in table.rows] == pytest.approx([0.8, 0.8, 0.4])
    success = build_table("justdubit-1", [Labelled(card("broken", failed=2))])
    assert {row.cells[0].text for row in success.rows} == {"50.0"}
    assert "no worst value" in success.rows[1].cells[4].reason  # MAR


def test_tiers_are_rows_below_their_benchmark() -> None:
    cards = [card("a"), card("a", "hard"), card("b"), card("b", "hard")]
    table = build_table("justdubit-3", [Labelled(one) for one in cards])
    assert [(row.tier, row.label) for row in table.rows] == [
        ("standard", "a"), ("standard", "b"), ("hard", "a"), ("hard", "b"),
    ]  # fmt: skip
    assert "| *hard* |" in markdown(table)


def test_one_metric_stands_in_a_column_for_all_systems() -> None:
    """A figure of the paper's own metric beside one of its stand-in would compare nothing."""
    names = {one.name: one for one in LISTINGS}
    both = card("both")
    csim = names["csim"].metric("judge-of-face")
    rows = [row.model_copy(update={"values": row.values | {"csim": 0.5}}) for row in both.rows]
    metrics = (*both.metrics, csim)
    protocol = score_protocol(both.protocol.parts.judges, metrics, benchmark="12" * 32, sample_rate=16000)
    more = build_card(rows, metrics, protocol, benchmark="other", system="more", world="embedded", rounds=20)
    assert texts(build_table("justdubit-1", [Labelled(more)]))["CSIM"] == "0.5000"
    together = build_table("justdubit-1", [Labelled(more), Labelled(both)])
    assert [row.cells[1].text for row in together.rows] == ["0.9000", "0.9000"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"version": "2"}, "different protocols"),
        ({"version": "2", "benchmark": "hard"}, "judged in different ways"),
        ({"world": "real", "benchmark": "hard"}, "embedded world, others of real"),
    ],
)
def test_what_cannot_be_compared_is_refused_unless_asked_for_and_then_said(other: dict[str, Any], words: str) -> None:
    cards = [Labelled(card()), Labelled(card("theirs", **other))]
    with pytest.raises(BadInput) as refused:
        build_table("justdubit-1", cards)
    assert refused.value.code == "judging.mixed_protocols"
    assert words in refused.value.headline
    assert any(
        words in note and note.startswith("Not to be compared")
        for note in build_table("justdubit-1", cards, mixed=True).notes
    )


@pytest.mark.parametrize(
    ("shape", "cards", "kind", "code"),
    [
        ("justdubit-9", [Labelled(card())], WrongUse, "judging.unknown_table"),
        ("diflowdubber-1", [Labelled(card(), "3.0")], WrongUse, "judging.unknown_setting"),
        ("justdubit-1", [Labelled(card()), Labelled(card())], BadInput, "judging.same_row"),
    ],
)
def test_what_makes_no_table_is_refused(shape: str, cards: list[Labelled], kind: type[DubflowError], code: str) -> None:
    with pytest.raises(kind) as refused:
        build_table(shape, cards)
    assert refused.value.code == code


def test_costs_and_lineage_fill_the_columns_of_table_four() -> None:
    told = card(costs={"device_s_per_minute": 30.0}, lineage={"nfe": "8", "parameters": "12 M"})
    cells = texts(build_table("diflowdubber-4", [Labelled(told)]))
    assert (cells["#Params"], cells["NFE"], cells["RTF"]) == ("12 M", "8", "0.50")
    assert "does not say nfe" in " ".join(build_table("diflowdubber-4", [Labelled(card())]).reasons())


def test_names_of_others_break_neither_markdown_nor_json() -> None:
    table = build_table("justdubit-1", [Labelled(card("a|b\n<script>*x*"))])
    line = next(line for line in markdown(table).splitlines() if "script" in line)
    assert line.count(" | ") == len(table.heads)
    assert "<script>" not in line
    assert json.loads(json.dumps(table.as_dict()))["rows"][0]["cells"][1]["value"] == pytest.approx(0.9)
