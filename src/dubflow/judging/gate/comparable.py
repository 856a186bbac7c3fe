"""Whether two cards may be compared at all: same protocol, same clips, whole figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from dubflow.judging.card.rows import ClipScore, ScoreCard, rows_digest
from dubflow.judging.gate.policy import Policy
from dubflow.judging.gate.verdict import RuleResult
from dubflow.judging.listings import LISTINGS

_LISTED = 3


def comparability(challenger: ScoreCard, champion: ScoreCard | None, policy: Policy) -> list[RuleResult]:
    """One result a check; every one that fails refuses.

    Cards from files were checked when they were read; cards from memory are checked here again, since a verdict must
    not depend on who built its cards.
    """
    cards = [("challenger", challenger)] + ([("champion", champion)] if champion is not None else [])
    faults: list[tuple[str, str]] = []
    for name, card in cards:
        faults += [(f"rows.{name}", text) for text in _rows(card, name)]
        faults += [(f"metrics.{name}", text) for text in _metrics(card, policy, name)]
    if champion is not None:
        faults += [("protocol", text) for text in _protocol(challenger, champion)]
        faults += [("clips", text) for text in _clips(challenger, champion, policy)]
    if not faults:
        alone = (
            "The card is whole" if champion is None else "Both cards are whole, of one protocol and of the same clips"
        )
        return [RuleResult(kind="comparable", rule="comparable", outcome="pass", reason=f"{alone}.")]
    return [
        RuleResult(kind="comparable", rule=f"comparable.{rule}", outcome="refuse", reason=text) for rule, text in faults
    ]


def _rows(card: ScoreCard, name: str) -> list[str]:
    faults = []
    twice = sorted(clip for clip, count in Counter(row.clip for row in card.rows).items() if count > 1)
    if twice:
        faults.append(f"The {name}'s card has clips twice: {_few(twice)}.")
    broken = sorted({row.clip for row in card.rows if not _finite(row)})
    if broken:
        faults.append(f"The {name}'s card has figures that are no numbers, in {_few(broken)}.")
    elif card.rows_digest != rows_digest(card.rows):
        faults.append(f"The {name}'s rows are not those that its card was made with.")
    return faults


def _finite(row: ClipScore) -> bool:
    numbers = [value for value in row.values.values() if value is not None]
    return all(map(math.isfinite, [*numbers, *(part for pair in row.weights.values() for part in pair)]))


def _metrics(card: ScoreCard, policy: Policy, name: str) -> list[str]:
    faults = []
    for metric_name in judged_metrics(policy):
        metric = card.metric(metric_name)
        if metric is None:
            gaps = "".join(f" {missing} is missing: {why.rstrip('.')}." for missing, why in _gaps(card, metric_name))
            faults.append(f"The policy judges {metric_name}, which the {name}'s card does not have.{gaps}")
            continue
        if metric.better == "none" or metric.aggregate == "distribution":
            why = "has no better or worse" if metric.better == "none" else "is one figure for a whole set of clips"
            faults.append(f"{metric_name} cannot be judged clip by clip: it {why}.")
            continue
        ours = sorted(row.clip for row in card.rows if row.blamed(metric_name) == "judge")
        if ours:
            faults.append(f"The judge of {metric_name} failed on the {name}'s {_few(ours)}; evaluate again.")
        loose = sorted(row.clip for row in card.rows if _loose(row, metric_name))
        if metric.aggregate == "corpus_ratio" and loose:
            faults.append(f"{metric_name} has no numerator and denominator in the {name}'s {_few(loose)}.")
    return faults


def _gaps(card: ScoreCard, metric: str) -> list[tuple[str, str]]:
    """Why the card lacks ``metric``: by its own name, else by those of judges, one of which was perhaps asked."""
    if metric in card.gaps:
        return [(metric, card.gaps[metric])]
    others = {one.name for one in LISTINGS}
    return sorted((name, why) for name, why in card.gaps.items() if name not in others)


def _loose(row: ClipScore, metric: str) -> bool:
    return row.values.get(metric) is not None and metric not in row.weights


def judged_metrics(policy: Policy) -> list[str]:
    """Names of the metrics that the policy looks at."""
    others = [rule.metric for rules in (policy.guardrails, policy.floors, policy.slices) for rule in rules]
    return list(dict.fromkeys([policy.primary.metric, *others]))


def _protocol(challenger: ScoreCard, champion: ScoreCard) -> list[str]:
    if challenger.world != champion.world:
        return [f"The challenger was judged in the {challenger.world} world, the champion in the {champion.world} one."]
    if challenger.protocol.id == champion.protocol.id:
        return []
    ours, theirs = challenger.protocol.parts.model_dump(), champion.protocol.parts.model_dump()
    parts = [name for name in ours if ours[name] != theirs[name]]
    return [f"The cards are of different protocols: {', '.join(parts) or 'their ids'} differ. Judge both again alike."]


def _clips(challenger: ScoreCard, champion: ScoreCard, policy: Policy) -> list[str]:
    ours, theirs = ({row.clip: row for row in card.rows} for card in (challenger, champion))
    faults = []
    for left, right, text in ((theirs, ours, "lacks"), (ours, theirs, "has, and the champion has not,")):
        odd = sorted(set(left) - set(right))
        if odd:
            faults.append(f"The challenger's card {text} {len(odd)} clips: {_few(odd)}.")
    shared = sorted(set(ours) & set(theirs))
    other = [clip for clip in shared if (ours[clip].item, ours[clip].tags) != (theirs[clip].item, theirs[clip].tags)]
    if other:
        faults.append(f"Clips of one name are not of one item: {_few(other)}.")
    for metric in judged_metrics(policy):
        uneven = [clip for clip in shared if _not_asked(ours[clip], metric) != _not_asked(theirs[clip], metric)]
        # A failed row need not say which metrics its item lacks.
        uneven = [clip for clip in uneven if ours[clip].status == theirs[clip].status == "ok"]
        if uneven:
            faults.append(f"{metric} has something to measure for one system only in {_few(uneven)}.")
    return faults


def _not_asked(row: ClipScore, metric: str) -> bool:
    return row.blamed(metric) == "item"


def _few(clips: Sequence[str]) -> str:
    more = len(clips) - _LISTED
    return f"{', '.join(clips[:_LISTED])}" + (f" and {more} more" if more > 0 else "")
