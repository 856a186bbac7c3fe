"""Orders are found where they are, contradicted where they are the other way round, and every metric has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubflow.judging.calibration.conditions import CONDITIONS, make_conditions
from dubflow.judging.calibration.orders import ORDERS, Finding, Order, check, orders_of
from dubflow.judging.calibration.report import figures_tables, findings_table
from dubflow.judging.card.aggregates import build_card
from dubflow.judging.card.evaluate import System, evaluate
from dubflow.judging.card.items import Benchmark
from dubflow.judging.card.rows import ClipScore, JudgePin, ScoreCard, score_protocol
from dubflow.judging.catalogue import listing
from dubflow.judging.listings import LISTINGS
from dubflow.judging.offline.sound import SoundJudge

CLIPS = 20


def card(name: str, values: Any, *, failed: int = 0) -> ScoreCard:
    """A card of one metric with ``values`` by clip; the first ``failed`` failed."""
    metric = listing(name).metric("judge")
    rows = []
    for place, value in enumerate(values):
        sums = {name: (10.0 * float(value), 10.0)} if metric.aggregate == "corpus_ratio" else {}
        if place < failed:
            rows.append(ClipScore(clip=f"{place:02}", status="failed", reason="crashed"))
        else:
            rows.append(ClipScore(clip=f"{place:02}", status="ok", values={name: float(value)}, weights=sums))
    protocol = score_protocol({"judge": JudgePin(version="1")}, [metric], benchmark="ab" * 32, sample_rate=16000)
    return build_card(rows, [metric], protocol, benchmark="b", system="s", world="embedded", rounds=20)


def values(mean: float, *, spread: float = 0.1, seed: int = 0) -> np.ndarray:
    """As hard for one system as for the other (the same seed), around ``mean``."""
    return mean + spread * np.random.default_rng(seed).standard_normal(CLIPS)


def outcome(order: Order, first: ScoreCard, second: ScoreCard) -> Finding:
    (found,) = check({order.first: first, order.second: second}, [order])
    return found


LESS = Order("wer", "less", "truth", "noise_0")


def test_an_order_is_shown_contradicted_or_unclear() -> None:
    low, high = card("wer", values(0.3)), card("wer", values(0.4))
    assert outcome(LESS, low, high).outcome == "shown"
    assert outcome(LESS, high, low).outcome == "contradicted"
    assert outcome(LESS, low, card("wer", values(0.3, seed=1))).outcome == "unclear"
    assert outcome(LESS, low, low).outcome == "unclear"  # equal is not less
    found = outcome(LESS, low, high)
    assert found.difference == pytest.approx(0.1)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.1 + 1e-9
    assert found.high >= 0.1 - 1e-9
    assert found.clips == CLIPS


def test_clips_are_paired_so_that_hard_clips_hide_nothing() -> None:
    hard = values(0.5, spread=0.3)
    assert outcome(LESS, card("wer", hard), card("wer", hard + 0.02)).outcome == "shown"
    shuffled = np.random.default_rng(1).permutation(hard)
    assert outcome(LESS, card("wer", hard), card("wer", shuffled + 0.02)).outcome == "unclear"


def test_three_clips_show_nothing() -> None:
    for clips, outcomes in ((3, ("unclear", "unclear")), (4, ("shown", "contradicted"))):
        low, high = card("wer", [0.3] * clips), card("wer", [0.4] * clips)
        assert (outcome(LESS, low, high).outcome, outcome(LESS, high, low).outcome) == outcomes


def test_a_failure_counts_at_its_worst() -> None:
    order = Order("wer", "less", "truth", "missing")
    assert outcome(order, card("wer", values(0.3)), card("wer", values(0.3), failed=6)).outcome == "shown"


def test_offsets_are_judged_as_sizes_and_told_apart_by_sign() -> None:
    none, ahead, behind = (card("mouth_offset", values(mean, spread=0.5)) for mean in (0.0, 5.0, -5.0))
    for moved in (ahead, behind):
        assert outcome(Order("mouth_offset", "less", "truth", "late_5"), none, moved).outcome == "shown"
    plus, minus = (Order("mouth_offset", "signed", "truth", "late_5", sign) for sign in (1.0, -1.0))
    assert [outcome(plus, none, one).outcome for one in (ahead, behind)] == ["shown", "contradicted"]
    assert [outcome(minus, none, one).outcome for one in (ahead, behind)] == ["contradicted", "shown"]
    assert outcome(plus, none, ahead).difference == pytest.approx(5.0)


def test_what_must_stay_the_same_must_stay_within_its_tolerance() -> None:
    order = Order("secs", "same", "truth", "again", 0.05)
    first = card("secs", values(0.8, spread=0.01))
    assert outcome(order, first, card("secs", values(0.82, spread=0.01))).outcome == "shown"
    assert outcome(order, first, card("secs", values(0.7, spread=0.01))).outcome == "contradicted"
    assert outcome(order, first, card("secs", values(0.8, spread=0.4, seed=3))).outcome == "unclear"


def test_without_figures_there_is_no_finding_and_without_a_card_no_order() -> None:
    first = card("secs", values(0.8))
    why = {"reasons": {"secs": "no voice"}, "blame": {"secs": "item"}}
    rows = [ClipScore(clip="00", status="ok", values={"secs": None}, **why)]
    blank = build_card(rows, first.metrics, first.protocol, benchmark="b", system="s", world="embedded", rounds=20)
    assert outcome(Order("secs", "less", "truth", "silence"), first, blank).outcome == "no figure"
    assert check({"truth": first}) == ()
    assert check({"truth": first, "silence": first}, [LESS, Order("pesq", "less", "silence", "truth")]) == ()
    # A judge that was asked about one condition only says nothing of an order.
    assert (
        check({"truth": first, "again": card("wer", values(0.3))}, [Order("secs", "same", "truth", "again", 0.1)]) == ()
    )


def test_every_metric_of_single_clips_has_an_order_and_every_order_a_metric_and_conditions() -> None:
    # Both figures of pictures have one for a whole set.
    assert {one.name for one in LISTINGS if not orders_of(one.name)} == {"fid", "fvd"}
    names = {one.name for one in CONDITIONS}
    assert {one.metric for one in ORDERS} <= {one.name for one in LISTINGS}
    assert {one.first for one in ORDERS} | {one.second for one in ORDERS} <= names
    assert len(set(ORDERS)) == len(ORDERS)
    for order in ORDERS:
        assert order.first != order.second
        assert order.within > 0 or order.kind != "same"
    # No two orders contradict each other.
    pairs = {(one.metric, one.first, one.second) for one in ORDERS if one.kind == "less"}
    assert not {(metric, second, first) for metric, first, second in pairs} & pairs


@pytest.mark.slow
def test_real_clips_show_the_orders_of_time(benchmark: Benchmark, root: Path, tmp_path: Path) -> None:
    chosen = ("truth", "missing", "again", "late_2", "late_5", "late_10", "longer", "shorter", "silence", "wrong_text")
    folders = make_conditions(benchmark, root, tmp_path / "systems", chosen=chosen, workers=1)
    judges = [SoundJudge("code"), SoundJudge("pystoi")]
    cards = {
        name: evaluate(
            benchmark, root, folder, judges, System(name), cache=tmp_path / "cache", sample_rate=16_000, workers=1
        )
        for name, folder in folders.items()
    }
    findings = check(cards)
    found = {str(one.order): one.outcome for one in findings}
    assert not [one for one in findings if one.outcome == "contradicted"], found
    for order in (
        "duration_error: truth < longer", "duration_error: longer - truth is positive",
        "duration_error: shorter - truth is negative", "duration_error: truth = silence (within 1e-06)",
        "speech_start_error: late_5 < late_10", "speech_end_error: late_5 - truth is positive",
        "int_corr: wrong_text < truth", "int_corr: late_5 < truth", "stoi: wrong_text < truth",
    ):  # fmt: skip
        assert found[order] == "shown", order
    tables = figures_tables(cards)
    assert "| longer | 0.5 |" in tables
    assert "duration_error (s) →0" in tables
    assert all(f"| {name} |" in tables for name in chosen)
    told = findings_table(findings)
    assert told.splitlines()[-1].startswith(f"| all | {len(findings)} |")
    assert "| duration_error | " in told
