"""The gate's answers: what is promoted, what is refused and why, and what nobody can know yet."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from dubflow.judging.card.aggregates import build_card
from dubflow.judging.card.rows import JudgePin, ScoreCard, Tags, score_protocol
from dubflow.judging.gate.decide import judge
from dubflow.judging.gate.verdict import RuleResult, Verdict
from judging.gate.systems import METRICS, PROTOCOL, policy, system


@cache
def champion() -> ScoreCard:
    return system(wer=0.3, seed=1, name="champion")


@cache
def better() -> ScoreCard:
    return system(wer=0.15, seed=2, name="challenger")


def rule(verdict: Verdict, name: str) -> RuleResult:
    (found,) = [one for one in verdict.rules if one.rule == name]
    return found


def refusals(verdict: Verdict) -> set[str]:
    return {one.rule for one in verdict.rules if one.outcome == "refuse"}


def changed(card: ScoreCard, rows: Any = None, **fields: Any) -> ScoreCard:
    """The card made anew with other rows or facts."""
    kept = {name: getattr(card, name) for name in ("package", "licences", "lineage", "costs", "world", "system")}
    protocol = fields.pop("protocol", card.protocol)
    metrics = fields.pop("metrics", card.metrics)
    rows = card.rows if rows is None else rows
    return build_card(rows, metrics, protocol, benchmark="simulated", rounds=20, **kept | fields)


def test_a_better_model_is_promoted_and_every_rule_says_why() -> None:
    verdict = judge(better(), champion(), policy())
    assert verdict.decision == "promote", verdict.headline
    assert {one.outcome for one in verdict.rules} == {"pass"}
    assert {one.kind for one in verdict.rules} == {
        *("comparable", "sample", "primary", "guardrail", "floor", "slice", "success", "package", "licence"),
        *("lineage", "cost"),
    }
    first = rule(verdict, "primary.wer").figures
    assert first.gain == pytest.approx((first.champion or 0) - (first.challenger or 0))
    assert 0 < (first.low or 0) < (first.gain or 0) < (first.high or 0)
    assert (verdict.challenger.card, verdict.champion and verdict.champion.card) == (better().digest, champion().digest)
    assert verdict.challenger.package == better().package
    assert "embedded world" in verdict.headline
    assert judge(better(), champion(), policy()) == verdict


def test_champion_and_challenger_swapped_change_the_verdict() -> None:
    there, back = judge(better(), champion(), policy()), judge(champion(), better(), policy())
    assert (there.decision, back.decision) == ("promote", "refuse")
    for name in ("primary.wer", "guardrail.secs", "guardrail.offset"):
        one, other = rule(there, name).figures, rule(back, name).figures
        assert one.gain == pytest.approx(-(other.gain or 0))
        assert one.challenger == other.champion
    assert "primary.wer" in refusals(back)


def test_a_model_is_not_better_than_itself() -> None:
    verdict = judge(champion(), champion(), policy())
    assert verdict.decision == "refuse"
    assert rule(verdict, "primary.wer").outcome == "refuse"
    assert rule(verdict, "guardrail.secs").outcome == "pass"


def test_a_guardrail_stops_a_better_model() -> None:
    verdict = judge(system(wer=0.15, secs=0.5, seed=2), champion(), policy())
    assert refusals(verdict) == {"guardrail.secs"}
    assert "is worse by more than 0.02" in rule(verdict, "guardrail.secs").reason


def test_an_offset_counts_in_both_directions() -> None:
    for shift in (-4.0, 4.0):
        verdict = judge(system(wer=0.15, offset=shift, seed=2), champion(), policy())
        assert refusals(verdict) == {"guardrail.offset"}


def test_one_language_that_suffers_is_found() -> None:
    verdict = judge(
        system(wer=0.12, worse_in="en-fr", seed=2), champion(), policy(primary={"metric": "secs", "worthwhile": 1})
    )
    assert rule(verdict, "slice.language_pair.en-de.wer").outcome == "pass"
    assert rule(verdict, "slice.language_pair.en-fr.wer").outcome != "pass"
    assert "Holm's correction for 3 slices" in rule(verdict, "slice.language_pair.en-fr.wer").reason


def test_small_slices_are_said_to_be_small() -> None:
    cut = {"by": "speaker", "metric": "wer", "margin": 0.1, "smallest": 20}
    asked = judge(better(), champion(), policy(slices=[cut]))
    assert asked.decision == "inconclusive"
    assert "too few" in rule(asked, "slice.speaker.s1.wer").reason
    skipped = judge(better(), champion(), policy(slices=[cut | {"too_few": "skip"}]))
    assert skipped.decision == "promote"
    assert rule(skipped, "slice.speaker.s1.wer").outcome == "not_applicable"


def test_failures_count_at_their_worst() -> None:
    """A model that fails on the hardest and is better on the rest is not better."""
    verdict = judge(system(wer=0.27, failed=30, seed=2), champion(), policy())
    assert "primary.wer" in refusals(verdict)
    assert "success_rate" in refusals(verdict)


def test_too_few_clips_are_inconclusive_and_the_power_line_says_how_many_are_needed() -> None:
    small = policy(primary={"metric": "wer", "worthwhile": 0.005}, slices=[])
    verdict = judge(system(wer=0.295, seed=2), champion(), small)
    line = rule(verdict, "primary.wer").power
    assert verdict.decision == "inconclusive"
    assert line is not None
    assert line.needed > line.units == 150
    assert "clips can see a difference of" in line.text
    assert line.text in rule(verdict, "primary.wer").reason
    few = judge(system(wer=0.1, clips=60, seed=2), system(wer=0.3, clips=60, seed=1), policy(slices=[]))
    assert rule(few, "sample").outcome == few.decision == "inconclusive"


def test_without_a_champion_floors_and_facts_decide() -> None:
    verdict = judge(better(), None, policy())
    assert (verdict.decision, verdict.champion) == ("promote", None)
    assert rule(verdict, "primary.wer").outcome == "not_applicable"
    assert rule(verdict, "floor.wer").figures.low is not None
    bad = judge(system(wer=0.6, seed=2), None, policy())
    assert refusals(bad) == {"floor.wer"}
    just = (rule(verdict, "floor.wer").figures.challenger or 0) + 0.002
    edge = judge(better(), None, policy(floors=[{"metric": "wer", "at_most": just}]))
    assert rule(edge, "floor.wer").outcome == "inconclusive"


@pytest.mark.parametrize(
    ("facts", "refused"),
    [
        ({"package": None}, "package"),
        ({"licences": ("MIT", "CC-BY-NC-4.0")}, "licences"),
        ({"licences": ()}, "licences"),
        ({"lineage": {}}, "lineage.run"),
        ({"lineage": {"run": " "}}, "lineage.run"),
        ({"costs": {"cost": 2.5}}, "cost.cost"),
        ({"costs": {}}, "cost.cost"),
    ],
)
def test_facts_refuse(facts: dict[str, Any], refused: str) -> None:
    assert refusals(judge(changed(better(), **facts), champion(), policy())) == {refused}


def test_of_a_metric_that_nobody_judged_its_own_reason_is_told() -> None:
    gaps = {"offset": "no weights were given.", "fid": "something else"}
    card = _without_metric().model_copy(update={"gaps": gaps})
    (why,) = [
        rule.reason for rule in judge(card, champion(), policy()).rules if rule.rule == "comparable.metrics.challenger"
    ]
    assert why.endswith("offset is missing: no weights were given.")
    assert "fid" not in why


def _other_protocol() -> ScoreCard:
    judges = {name: JudgePin(version="2") for name in ("recogniser", "encoder", "lips")}
    return changed(better(), protocol=score_protocol(judges, METRICS, benchmark="ab" * 32, sample_rate=16000))


def _without_metric() -> ScoreCard:
    kept = METRICS[:2]
    judges = {name: JudgePin(version="1") for name in ("recogniser", "encoder")}
    rows = [
        one.model_copy(update={"values": {name: one.values[name] for name in ("wer", "secs")}}) for one in better().rows
    ]
    protocol = score_protocol(judges, kept, benchmark="ab" * 32, sample_rate=16000)
    return changed(better(), rows, metrics=kept, protocol=protocol, gaps={"lips": "no weights were given"})


def _row(place: int, **update: Any) -> list[Any]:
    rows = list(better().rows)
    rows[place] = rows[place].model_copy(update=update)
    return rows


def _raw(rows: Any) -> ScoreCard:
    """A card as nobody who reads files can get one."""
    return better().model_copy(update={"rows": tuple(rows)})


def _judge_failed() -> list[Any]:
    values = better().rows[3].values | {"secs": None}
    return _row(3, values=values, reasons={"secs": "RuntimeError"}, blame={"secs": "judge"})


def _claims_nothing_to_measure() -> list[Any]:
    values = better().rows[3].values | {"secs": None}
    return _row(3, values=values, reasons={"secs": "no reference"}, blame={"secs": "item"})


@pytest.mark.parametrize(
    ("card", "rule_name", "words"),
    [
        (_other_protocol, "comparable.protocol", "judges differ"),
        (_without_metric, "comparable.metrics.challenger", "lips is missing: no weights were given"),
        (lambda: changed(better(), world="real"), "comparable.protocol", "world"),
        (lambda: changed(better(), better().rows[:-2]), "comparable.clips", "lacks 2 clips: 0148, 0149"),
        (lambda: changed(better(), _row(0, clip="x")), "comparable.clips", "has, and the champion has not"),
        (lambda: changed(better(), _row(0, tags=Tags(speaker="x"))), "comparable.clips", "not of one item"),
        (lambda: changed(better(), _row(0, item="ab" * 32)), "comparable.clips", "not of one item"),
        (lambda: _raw([*better().rows, better().rows[0]]), "comparable.rows.challenger", "twice: 0000"),
        (lambda: _raw(_row(0, values={"wer": float("nan")})), "comparable.rows.challenger", "no numbers, in 0000"),
        (lambda: _raw(_row(0, values={"wer": 0.0})), "comparable.rows.challenger", "not those"),
        (lambda: changed(better(), _judge_failed()), "comparable.metrics.challenger", "judge of secs failed"),
        (lambda: changed(better(), _claims_nothing_to_measure()), "comparable.clips", "one system only in 0003"),
    ],
)
def test_cards_that_cannot_be_compared_are_refused(card: Any, rule_name: str, words: str) -> None:
    for challenger, other in ((card(), champion()), (champion(), card())):
        verdict = judge(challenger, other, policy())
        assert verdict.decision == "refuse"
        assert not [one for one in verdict.rules if one.kind in ("primary", "guardrail", "slice", "floor")]
    verdict = judge(card(), champion(), policy())
    assert rule_name in refusals(verdict)
    assert any(words in one.reason for one in verdict.rules)


def test_metrics_without_a_direction_cannot_be_judged() -> None:
    shown = METRICS[1].model_copy(update={"better": "none", "worst": None})
    metrics = (METRICS[0], shown, METRICS[2])
    judges = {name: JudgePin(version="1") for name in ("recogniser", "encoder", "lips")}
    protocol = score_protocol(judges, metrics, benchmark="ab" * 32, sample_rate=16000)
    cards = [changed(card, metrics=metrics, protocol=protocol) for card in (better(), champion())]
    verdict = judge(cards[0], cards[1], policy())
    assert "comparable.metrics.challenger" in refusals(verdict)
    assert PROTOCOL.id != protocol.id


def test_claims_about_other_speakers_draw_speakers() -> None:
    by_clip = judge(better(), champion(), policy(slices=[]))
    by_speaker = judge(better(), champion(), policy(slices=[], resample="speaker"))
    clip, speaker = rule(by_clip, "primary.wer"), rule(by_speaker, "primary.wer")
    assert speaker.figures.gain == pytest.approx(clip.figures.gain)
    assert speaker.figures.clips == clip.figures.clips == 150
    assert speaker.power is not None
    assert speaker.power.units == 12
    assert "12 speakers" in speaker.power.text
    few = [one.model_copy(update={"tags": Tags(speaker=f"s{n % 4}")}) for n, one in enumerate(better().rows)]
    cards = [
        changed(card, [one.model_copy(update={"tags": few[n].tags}) for n, one in enumerate(card.rows)])
        for card in (better(), champion())
    ]
    answer = judge(cards[0], cards[1], policy(slices=[], resample="speaker"))
    assert "counts in 4 speakers only" in rule(answer, "primary.wer").reason
    assert answer.decision == "inconclusive"


def test_an_undecided_headline_is_one_short_sentence_and_names_the_first_rule() -> None:
    close = {"primary": {"metric": "wer", "worthwhile": 0.005}, "slices": []}
    one = judge(system(wer=0.295, seed=2), champion(), policy(**close))
    assert [rule.rule for rule in one.rules if rule.outcome == "inconclusive"] == ["primary.wer"]
    start = "Inconclusive: system against champion (embedded world): these clips do not decide primary.wer"
    assert one.headline == f"{start}."
    two = judge(system(wer=0.295, seed=2), champion(), policy(**close, smallest_sample=200))
    undecided = [rule.rule for rule in two.rules if rule.outcome == "inconclusive"]
    assert len(undecided) == 2
    assert two.headline.endswith(f"these clips do not decide {undecided[0]} and 1 more rule.")


def test_a_metric_that_is_not_there_is_not_explained_by_other_metrics_gaps() -> None:
    kept = (METRICS[0], METRICS[2])
    judges = {name: JudgePin(version="1") for name in ("recogniser", "lips")}
    names = ("wer", "offset")
    rows = [row.model_copy(update={"values": {name: row.values[name] for name in names}}) for row in better().rows]
    protocol = score_protocol(judges, kept, benchmark="ab" * 32, sample_rate=16000)
    start = "The policy judges secs, which the challenger's card does not have."
    for gaps, told in (
        ({"secs": "no encoder was named.", "fid": "no weights."}, f"{start} secs is missing: no encoder was named."),
        ({"fid": "no weights."}, start),
    ):
        card = changed(better(), rows, metrics=kept, protocol=protocol, gaps=gaps)
        assert rule(judge(card, None, policy()), "comparable.metrics.challenger").reason == told
