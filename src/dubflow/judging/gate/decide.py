"""The gate itself: two cards and a policy in, a verdict out.

The same cards and policy give the same verdict to the last bit; nothing here looks at a clock or draws without a seed.
"""

from __future__ import annotations

from collections.abc import Sequence

from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.gate.comparable import comparability, judged_metrics
from dubflow.judging.gate.facts import fact_rules
from dubflow.judging.gate.pairing import Paired, pair
from dubflow.judging.gate.policy import Policy
from dubflow.judging.gate.rules import floor, guardrail, primary, slices
from dubflow.judging.gate.verdict import Decision, Kind, Party, RuleResult, Verdict, decision


def judge(challenger: ScoreCard, champion: ScoreCard | None, policy: Policy, *, made_at: str | None = None) -> Verdict:
    """Whether ``challenger`` may replace ``champion`` (None: nothing is in use yet) by ``policy``.

    Cards that cannot be compared (another protocol, other clips, a missing metric, figures that are no numbers) give
    the verdict refuse with the reason, and no comparison is made. Without a champion the verdict rests on floors and
    facts.

    Args:
        made_at: UTC time that stands in the verdict, ISO 8601.
    """
    rules = comparability(challenger, champion, policy)
    if all(rule.outcome == "pass" for rule in rules):
        paired = {name: pair(challenger, champion, name) for name in judged_metrics(policy)}
        rules += compared(paired, policy) if champion is not None else _without_champion(policy)
        rules += [floor(paired[rule.metric], rule, policy) for rule in policy.floors]
    rules += fact_rules(challenger, policy)
    return Verdict(
        decision=decision(tuple(rules)),
        headline=_headline(challenger, champion, rules),
        world=challenger.world,
        challenger=Party.of(challenger),
        champion=None if champion is None else Party.of(champion),
        protocol=challenger.protocol.id,
        benchmark=challenger.benchmark,
        policy=policy.name,
        policy_digest=policy.digest,
        made_at=made_at,
        rules=tuple(rules),
    )


def compared(paired: dict[str, Paired], policy: Policy) -> list[RuleResult]:
    """The rules that compare both systems, on the paired figures of every metric that the policy judges."""
    results = [primary(paired[policy.primary.metric], policy)]
    results += [guardrail(paired[rule.metric], rule, policy) for rule in policy.guardrails]
    return results + slices(paired, policy)


def _without_champion(policy: Policy) -> list[RuleResult]:
    reason = "There is no champion to compare with; floors and facts decide."
    named: list[tuple[Kind, str, str]] = [("primary", f"primary.{policy.primary.metric}", policy.primary.metric)]
    named += [("guardrail", f"guardrail.{rule.metric}", rule.metric) for rule in policy.guardrails]
    named += [("slice", f"slice.{rule.by}.{rule.metric}", rule.metric) for rule in policy.slices]
    return [
        RuleResult(kind=kind, rule=rule, outcome="not_applicable", reason=reason, metric=metric)
        for kind, rule, metric in named
    ]


def _headline(challenger: ScoreCard, champion: ScoreCard | None, rules: Sequence[RuleResult]) -> str:
    answer = decision(tuple(rules))
    words: dict[Decision, str] = {"promote": "Promote", "refuse": "Refuse", "inconclusive": "Inconclusive:"}
    against = "" if champion is None else f" {'over' if answer == 'promote' else 'against'} {champion.system}"
    world = " (embedded world)" if challenger.world == "embedded" else ""
    return f"{words[answer]} {challenger.system}{against}{world}: {_why(answer, rules)}"


def _why(answer: Decision, rules: Sequence[RuleResult]) -> str:
    """In one sentence; figures and reasons of every rule stand in the rules."""
    if answer == "promote":
        return f"all {sum(rule.outcome == 'pass' for rule in rules)} rules that apply hold."
    deciding = [rule for rule in rules if rule.outcome == answer]
    if answer == "inconclusive":
        named = deciding[0].rule if deciding else "every rule"
        more = len(deciding) - 1
        others = f" and {more} more rule{'s' if more > 1 else ''}" if more > 0 else ""
        return f"these clips do not decide {named}{others}."
    others = f" And {len(deciding) - 1} more." if len(deciding) > 1 else ""
    return f"{deciding[0].reason}{others}"
