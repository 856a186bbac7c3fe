"""Aggregates by hand, laws of the populations, and how often the intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.bootstrap import bootstrap, ratio
from dubflow.judging.card.aggregates import aggregates, build_card, contributions
from dubflow.judging.card.resampling import by_cluster, resampled_sums
from dubflow.judging.card.rows import Aggregate, ClipScore, Metric, Tags
from judging.card.samples import METRICS, PROTOCOL, clip_rows

WER, SECS, OFFSET, FID = METRICS


def _one(found: tuple[Aggregate, ...], metric: str, population: str, group: str = "all", by: str = "all") -> Aggregate:
    (match,) = [
        one for one in found if (one.metric, one.population, one.group, one.by) == (metric, population, group, by)
    ]
    return match


def test_figures_by_hand() -> None:
    found = aggregates(clip_rows(), METRICS)
    # Words: 1 of 4 and 3 of 6; the failed clip has 5 words, all wrong; the missing one counts as one of average length.
    assert _one(found, "wer", "successes").value == pytest.approx(4 / 10)
    counted = _one(found, "wer", "intention_to_treat")
    assert (counted.value, counted.clips, counted.at_worst) == (pytest.approx((4 + 5 + 5) / (10 + 5 + 5)), 4, 2)
    # a/2 and b/2 have no reference voice whoever dubs them; b/1 failed.
    voice = _one(found, "secs", "intention_to_treat")
    assert (voice.value, voice.clips, voice.at_worst) == (pytest.approx((0.5 - 1.0) / 2), 2, 1)
    # Offsets count as absolute values; no face was found in a/2, which is the clip's doing.
    offset = _one(found, "av_offset", "intention_to_treat")
    assert (offset.value, offset.at_worst) == (pytest.approx((2 + 15 + 15 + 15) / 4), 3)
    assert _one(found, "av_offset", "successes").value == 2.0
    assert _one(found, "wer", "successes", "s2", "speaker").value == 0.5
    assert _one(found, "wer", "successes", "en-fr", "language_pair").clips == 2
    assert not [one for one in found if one.metric == "fid" or one.group == ""]


def test_a_single_clip_has_no_interval() -> None:
    alone = _one(aggregates(clip_rows(), METRICS), "wer", "successes", "s1", "speaker")
    assert (alone.value, alone.low, alone.high, alone.resampled) == (0.25, None, None, "none")


def test_a_rate_of_sums_needs_both_sums() -> None:
    row = ClipScore(clip="a", status="ok", values={"wer": 0.5})
    with pytest.raises(BadInput) as refused:
        contributions([row], WER, "successes")
    assert refused.value.code == "judging.no_weights"


def _row(place: int, words: int, errors: int | None, speaker: str = "s") -> ClipScore:
    tags = Tags(speaker=speaker)
    if errors is None:
        return ClipScore(clip=f"{place:04}", tags=tags, status="failed", reason="x", weights={"wer": (words, words)})
    value = errors / words
    return ClipScore(
        clip=f"{place:04}", tags=tags, status="ok", values={"wer": value}, weights={"wer": (errors, words)}
    )


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.one_of(st.none(), st.integers(0, 12))), min_size=2, max_size=12).filter(
        lambda pairs: any(errors is not None for _, errors in pairs)
    )
)
def test_failing_is_never_better_than_the_worst_and_order_does_not_matter(pairs: list[tuple[int, int | None]]) -> None:
    rows = [
        _row(place, words, None if errors is None else min(errors, words))
        for place, (words, errors) in enumerate(pairs)
    ]
    found = aggregates(rows, [WER], rounds=50)
    counted, kept = _one(found, "wer", "intention_to_treat"), _one(found, "wer", "successes")
    assert counted.value >= kept.value - 1e-12
    assert counted.clips == kept.clips + counted.at_worst == len(rows)
    for one in (counted, kept):
        if one.low is not None and one.high is not None:
            assert one.low <= one.high
    backwards = aggregates(rows[::-1], [WER], rounds=50)
    assert _one(backwards, "wer", "successes").value == pytest.approx(kept.value)


def test_intervals_agree_with_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(3)
    words = rng.integers(3, 15, 80)
    errors = rng.binomial(words, 0.3)
    rows = [_row(place, int(under), int(over)) for place, (over, under) in enumerate(zip(errors, words, strict=True))]
    ours = _one(aggregates(rows, [WER]), "wer", "successes")
    plain = bootstrap(np.stack([errors, words], axis=1), ratio)
    assert ours.value == pytest.approx(plain.value)
    # Other draws of the same clips: bounds agree to a few hundredths of the interval's width.
    width = plain.high - plain.low
    assert abs(ours.low - plain.low) < 0.06 * width
    assert abs(ours.high - plain.high) < 0.06 * width


def test_the_same_seed_draws_the_same_clips_whatever_is_in_them() -> None:
    table = np.arange(12.0).reshape(6, 2)
    first = resampled_sums(table, seed=4, rounds=40)
    both = resampled_sums(np.hstack([table, 2 * table]), seed=4, rounds=40)
    assert np.array_equal(both[:, :2], first)
    assert np.allclose(both[:, 2:], 2 * first)
    assert not np.array_equal(resampled_sums(table, seed=5, rounds=40), first)
    assert np.array_equal(resampled_sums(np.ones((6, 1)), rounds=40), np.full((40, 1), 6.0))


def test_many_clips_are_drawn_in_blocks_of_the_right_number() -> None:
    sums = resampled_sums(np.ones((3000, 1)), rounds=800)  # more counts than are held at once
    assert sums.shape == (800, 1)
    assert (sums == 3000).all()


def test_clusters_are_summed_and_unknown_speakers_stand_alone() -> None:
    table = np.array([[1.0, 1], [2, 1], [4, 1], [8, 1]])
    assert sorted(by_cluster(table, ["b", "", "b", ""])[:, 0]) == [2, 5, 8]


def test_drawing_speakers_holds_for_other_speakers_where_drawing_clips_does_not() -> None:
    """Coverage of the 95 % interval, by simulation: 24 speakers of 10 clips that resemble each other."""
    rng = np.random.default_rng(1)
    held = {"clip": 0, "speaker": 0}
    trials = 300
    for _ in range(trials):
        voices = np.repeat(rng.normal(0, 1, 24), 10)
        values = np.stack([voices + rng.normal(0, 1, 240), np.ones(240)], axis=1)
        for kind, units in (("clip", values), ("speaker", by_cluster(values, [str(n // 10) for n in range(240)]))):
            sums = resampled_sums(units, rounds=400)
            low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
            held[kind] += low <= 0 <= high
    assert held["speaker"] / trials > 0.89
    assert held["clip"] / trials < 0.75


def test_a_card_is_built_whole() -> None:
    given = Aggregate(metric="fid", population="successes", value=3.0, resampled="none", clips=2)
    card = build_card(
        clip_rows(), METRICS, PROTOCOL, benchmark="sample", system="ours", world="embedded", of_sets=[given], rounds=20
    )
    assert card.success_rate == 0.5
    assert given in card.aggregates
    again = build_card(
        clip_rows()[::-1], METRICS, PROTOCOL, benchmark="sample", system="ours", world="embedded", of_sets=[given]
    )
    assert again.rows == card.rows


def test_a_metric_without_a_worst_value_has_no_intention_to_treat_row() -> None:
    shown = Metric(**WER.model_dump() | {"name": "rate", "better": "none", "aggregate": "mean", "worst": None})
    rows = [ClipScore(clip=str(place), status="ok", values={"rate": 1.0 * place}) for place in range(3)]
    assert {one.population for one in aggregates(rows, [shown])} == {"successes"}


def _unjudged(row: ClipScore) -> ClipScore:
    values = row.values | {"wer": None}
    return row.model_copy(
        update={"values": values, "weights": {}, "reasons": {"wer": "the judge broke"}, "blame": {"wer": "judge"}}
    )


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12), st.booleans()), min_size=1, max_size=12))
def test_what_a_judge_failed_on_leaves_every_figure_and_is_counted(clips: list[tuple[int, int, bool]]) -> None:
    rows = [_row(place, words, min(errors, words)) for place, (words, errors, _) in enumerate(clips)]
    broke = [_unjudged(row) if failed else row for row, (_, _, failed) in zip(rows, clips, strict=True)]
    judged = [row for row, (_, _, failed) in zip(rows, clips, strict=True) if not failed]
    found = [one for one in aggregates(broke, [WER], rounds=20) if one.by == "all"]
    alone = [one for one in aggregates(judged, [WER], rounds=20) if one.by == "all"]
    assert [(one.population, one.value, one.clips, one.at_worst) for one in found] == [
        (one.population, one.value, one.clips, one.at_worst) for one in alone
    ]
    assert all(one.unjudged == len(rows) - len(judged) for one in found)


def test_a_metric_that_nobody_judged_is_a_gap_and_never_a_figure_of_the_failures() -> None:
    rows = [_unjudged(_row(0, 4, 1)), _unjudged(_row(1, 4, 1)), _row(2, 4, None)]
    others = {"secs": 0.5, "av_offset": 0.0}
    told = [row.model_copy(update={"values": row.values | others}) if row.values else row for row in rows]
    card = build_card(told, METRICS, PROTOCOL, benchmark="sample", system="ours", world="embedded", rounds=20)
    assert not [one for one in card.aggregates if one.metric == "wer"]
    assert card.gaps == {"wer": "recogniser failed on all 2 clips that it could judge: the judge broke"}
    assert _one(card.aggregates, "secs", "successes").value == 0.5


def test_a_metric_without_any_figure_is_a_gap_with_its_reason() -> None:
    why = {"secs": "no voice is named", "av_offset": "no face was found"}
    silent = {"wer": 0.5, "secs": None, "av_offset": None}
    rows = [
        ClipScore(
            clip=name, status="ok", values=silent, weights={"wer": (1.0, 2.0)}, reasons=why,
            blame={"secs": "item", "av_offset": "clip"},
        )
        for name in "ab"
    ]  # fmt: skip
    card = build_card(rows, METRICS, PROTOCOL, benchmark="b", system="s", world="real", gaps={"fid": "no weights"})
    # No face in any clip is the system's doing: it has a figure, the worst.
    assert card.gaps == {"fid": "no weights", "secs": "no voice is named"}
