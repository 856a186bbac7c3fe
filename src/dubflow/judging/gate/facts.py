"""The rules that look facts up: sample, success rate, package, licences, lineage and cost."""

from __future__ import annotations

from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.gate.policy import Policy
from dubflow.judging.gate.verdict import Figures, Kind, RuleResult


def fact_rules(card: ScoreCard, policy: Policy) -> list[RuleResult]:
    """Every rule about the challenger that needs no comparison."""
    results = [_sample(card, policy), _success(card, policy)]
    if policy.require_package:
        results.append(_package(card))
    if policy.licences is not None:
        results.append(_licences(card, policy.licences))
    results += [_lineage(card, fact) for fact in policy.lineage]
    results += [_cost(card, name, ceiling) for name, ceiling in sorted(policy.costs.items())]
    return results


def _sample(card: ScoreCard, policy: Policy) -> RuleResult:
    clips = len(card.rows)
    enough = clips >= policy.smallest_sample
    return RuleResult(
        kind="sample",
        rule="sample",
        outcome="pass" if enough else "inconclusive",
        reason=f"{clips} clips were judged; the policy asks for {policy.smallest_sample}.",
        figures=Figures(challenger=clips, limit=policy.smallest_sample, clips=clips),
    )


def _success(card: ScoreCard, policy: Policy) -> RuleResult:
    delivered = sum(row.status == "ok" for row in card.rows)
    figures = Figures(challenger=card.success_rate, limit=policy.success_rate, clips=len(card.rows))
    reason = f"{delivered} of {len(card.rows)} clips were delivered; the policy asks for {policy.success_rate:.1%}."
    return _answer("success", "success_rate", card.success_rate >= policy.success_rate, reason, figures)


def _package(card: ScoreCard) -> RuleResult:
    if card.package is None:
        return _answer("package", "package", False, "The card names no package, so there is nothing to promote.")
    return _answer("package", "package", True, f"The verdict is about the package {card.package}.")


def _licences(card: ScoreCard, allowed: tuple[str, ...]) -> RuleResult:
    if not card.licences:
        return _answer("licence", "licences", False, "The card does not say under which licences its parts are.")
    others = sorted(set(card.licences) - set(allowed))
    if others:
        reason = f"Not allowed by the policy: {', '.join(others)}."
        return _answer("licence", "licences", False, reason)
    return _answer("licence", "licences", True, f"All are allowed: {', '.join(sorted(set(card.licences)))}.")


def _lineage(card: ScoreCard, fact: str) -> RuleResult:
    known = card.lineage.get(fact, "").strip()
    reason = f"The card names its {fact}: {known}." if known else f"The card does not name its {fact}."
    return _answer("lineage", f"lineage.{fact}", bool(known), reason)


def _cost(card: ScoreCard, name: str, ceiling: float) -> RuleResult:
    cost = card.costs.get(name)
    if cost is None:
        return _answer("cost", f"cost.{name}", False, f"{name} was not measured.", Figures(limit=ceiling))
    reason = f"{name} is {cost:.4g}; the policy allows {ceiling:.4g}."
    return _answer("cost", f"cost.{name}", cost <= ceiling, reason, Figures(challenger=cost, limit=ceiling))


def _answer(kind: Kind, rule: str, fine: bool, reason: str, figures: Figures | None = None) -> RuleResult:
    return RuleResult(
        kind=kind, rule=rule, outcome="pass" if fine else "refuse", reason=reason, figures=figures or Figures()
    )
