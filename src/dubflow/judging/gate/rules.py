"""The rules that rest on statistics: primary metric, guardrails, floors and slices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dubflow.judging.card.rows import Metric
from dubflow.judging.gate.comparison import FEWEST_UNITS, Comparison, compare, holm
from dubflow.judging.gate.pairing import Paired
from dubflow.judging.gate.policy import Floor, Guardrail, Policy, SliceRule
from dubflow.judging.gate.power import amount, power_line
from dubflow.judging.gate.verdict import Figures, Kind, Outcome, PowerLine, RuleResult


def primary(paired: Paired, policy: Policy) -> RuleResult:
    """Superiority: the gain is shown to exceed the margin."""
    rule, metric = policy.primary, paired.metric
    found = _compared(paired, policy)
    if found is None:
        return _too_few("primary", f"primary.{metric.name}", paired, policy)
    line = _power(found, policy, rule.worthwhile - rule.margin, metric)
    p, margin = found.p_above(rule.margin), amount(rule.margin, metric.unit)
    beyond = f" by more than {margin}" if rule.margin else ""
    if p <= policy.alpha:
        outcome: Outcome = "pass"
        reason = f"The challenger is better{beyond}: {_gain(found, policy, metric)}."
    elif found.high(policy.alpha) < rule.worthwhile:
        outcome = "refuse"
        reason = (
            f"No gain worth a release ({amount(rule.worthwhile, metric.unit)}) is left: {_gain(found, policy, metric)}."
        )
    else:
        outcome = "inconclusive"
        reason = f"It is not shown that the challenger is better{beyond}: {_gain(found, policy, metric)}. {line.text}"
    figures = _figures(found, policy, rule.margin, p, paired)
    return _result("primary", f"primary.{metric.name}", outcome, reason, metric, figures, line)


def guardrail(paired: Paired, rule: Guardrail, policy: Policy) -> RuleResult:
    """Non-inferiority: the loss is shown to be less than the margin."""
    metric = paired.metric
    name = f"guardrail.{metric.name}"
    found = _compared(paired, policy)
    if found is None:
        return _too_few("guardrail", name, paired, policy)
    line = _power(found, policy, rule.margin, metric)
    p = found.p_above(-rule.margin)
    outcome = _non_inferior(p, found.p_below(-rule.margin), policy)
    reason = _loss_reason(outcome, found, policy, metric, rule.margin, line)
    return _result("guardrail", name, outcome, reason, metric, _figures(found, policy, -rule.margin, p, paired), line)


def floor(paired: Paired, rule: Floor, policy: Policy) -> RuleResult:
    """The challenger's own figure is shown to be on the right side of a limit."""
    metric = paired.metric
    name = f"floor.{metric.name}"
    own = paired.table.copy()
    own[:, 2], own[:, 3] = 0.0, own[:, 1]  # against nothing, so that the gain is the figure itself
    found = _compared(Paired(metric, own, paired.rows), policy, higher_is_better=True)
    if found is None:
        return _too_few("floor", name, paired, policy)
    least = rule.at_least is not None
    limit = float(rule.at_least if rule.at_least is not None else rule.at_most or 0.0)
    holds = found.p_above(limit) if least else found.p_below(limit)
    broken = found.p_below(limit) if least else found.p_above(limit)
    wanted = f"at {'least' if least else 'most'} {amount(limit, metric.unit)}"
    figure = f"{metric.name} is {amount(found.gain, metric.unit)}, {_between(found, policy, metric)}"
    reached = found.gain >= limit if least else found.gain <= limit
    outcome: Outcome
    if holds <= policy.alpha:
        outcome, reason = "pass", f"{figure}; it must be {wanted}."
    elif broken <= policy.alpha or not reached:
        outcome, reason = "refuse", f"{figure}; it must be {wanted}."
    else:
        outcome, reason = "inconclusive", f"{figure}; that it is {wanted} is not shown by these clips."
    figures = _figures(found, policy, limit, holds, paired).model_copy(update={"champion": None, "gain": None})
    return _result("floor", name, outcome, reason, metric, figures, None)


@dataclass(frozen=True)
class _Slice:
    rule: SliceRule
    group: str
    paired: Paired
    found: Comparison | None

    @property
    def name(self) -> str:
        return f"slice.{self.rule.by}.{self.group}.{self.rule.metric}"


def slices(paired: dict[str, Paired], policy: Policy) -> list[RuleResult]:
    """Non-inferiority in every slice, p-values corrected by Holm over all slices of the policy.

    Both claims are corrected: that a slice does not suffer, and that it does.
    """
    cut = [one for rule in policy.slices for one in _cut(paired[rule.metric], rule, policy)]
    tested = [(one, one.found) for one in cut if one.found is not None]
    fine = holm([found.p_above(-one.rule.margin) for one, found in tested])
    harmed = holm([found.p_below(-one.rule.margin) for one, found in tested])
    results = [_small_slice(one) for one in cut if one.found is None]
    for (one, found), p, p_harm in zip(tested, fine, harmed, strict=True):
        metric, margin = one.paired.metric, one.rule.margin
        line = _power(found, policy, margin, metric)
        outcome = _non_inferior(p, p_harm, policy)
        reason = f"{_where(one)}: {_loss_reason(outcome, found, policy, metric, margin, line)}"
        if len(tested) > 1:
            reason += f" (p {p:.2g} after Holm's correction for {len(tested)} slices.)"
        figures = _figures(found, policy, -margin, p, one.paired)
        place = {"by": one.rule.by, "group": one.group}
        results.append(_result("slice", one.name, outcome, reason, metric, figures, line).model_copy(update=place))
    return sorted(results, key=lambda result: result.rule)


def _cut(paired: Paired, rule: SliceRule, policy: Policy) -> list[_Slice]:
    groups = [row.tags.group(rule.by) for row in paired.rows]
    found = []
    for group in sorted(set(groups) - {""}):
        part = paired.where([one == group for one in groups])
        enough = len(part.rows) >= rule.smallest
        found.append(_Slice(rule, group, part, _compared(part, policy) if enough else None))
    return found


def _small_slice(one: _Slice) -> RuleResult:
    clips, needs = len(one.paired.rows), max(one.rule.smallest, FEWEST_UNITS)
    outcome: Outcome = "not_applicable" if one.rule.too_few == "skip" else "inconclusive"
    reason = f"{_where(one)}: {clips} clips are too few to say anything (the policy asks for {needs})."
    figures = Figures(clips=clips, limit=-one.rule.margin)
    place = {"by": one.rule.by, "group": one.group}
    return _result("slice", one.name, outcome, reason, one.paired.metric, figures, None).model_copy(update=place)


def _where(one: _Slice) -> str:
    return f"{one.rule.by.replace('_', ' ').capitalize()} {one.group}"


def _compared(paired: Paired, policy: Policy, *, higher_is_better: bool | None = None) -> Comparison | None:
    direction = paired.metric.better == "higher" if higher_is_better is None else higher_is_better
    units = paired.units(policy.resample)
    return compare(units, higher_is_better=direction, seed=policy.seed, rounds=policy.rounds)


def _non_inferior(p: float, p_harm: float, policy: Policy) -> Outcome:
    if p <= policy.alpha:
        return "pass"
    return "refuse" if p_harm <= policy.alpha else "inconclusive"


def _loss_reason(
    outcome: Outcome, found: Comparison, policy: Policy, metric: Metric, margin: float, line: PowerLine
) -> str:
    text, limit = _gain(found, policy, metric), amount(margin, metric.unit)
    if outcome == "pass":
        return f"{metric.name} is not worse by as much as {limit}: {text}."
    if outcome == "refuse":
        return f"{metric.name} is worse by more than {limit}: {text}."
    return f"It is not shown that {metric.name} is worse by less than {limit}: {text}. {line.text}"


def _gain(found: Comparison, policy: Policy, metric: Metric) -> str:
    change = "gain" if found.gain >= 0 else "loss"
    return (
        f"{metric.name} {amount(found.challenger, metric.unit)} against {amount(found.champion, metric.unit)}, "
        f"a {change} of {amount(abs(found.gain), metric.unit)}, {_between(found, policy, metric)}"
    )


def _between(found: Comparison, policy: Policy, metric: Metric) -> str:
    low, high = found.low(policy.alpha), found.high(policy.alpha)
    bounds = [f"{edge + 0.0:+.3g}" if math.isfinite(edge) else "unbounded" for edge in (low, high)]
    return f"between {bounds[0]} and {bounds[1]} {metric.unit}".rstrip() + f" (bounds at {1 - policy.alpha:.0%} each)"


def _power(found: Comparison, policy: Policy, asked: float, metric: Metric) -> PowerLine:
    return power_line(
        found.spread, found.units, asked, policy.alpha, policy.power, unit=metric.unit, kind=f"{policy.resample}s"
    )


def _figures(found: Comparison, policy: Policy, limit: float, p: float, paired: Paired) -> Figures:
    low, high = found.low(policy.alpha), found.high(policy.alpha)
    return Figures(
        challenger=found.challenger,
        champion=found.champion,
        gain=found.gain,
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        limit=limit,
        p=p,
        clips=int(np.count_nonzero(paired.table[:, 1])),
    )


def _too_few(kind: Kind, name: str, paired: Paired, policy: Policy) -> RuleResult:
    units = len(paired.units(policy.resample))
    reason = (
        f"{paired.metric.name} counts in {units} {policy.resample}s only; "
        f"nothing can be said with fewer than {FEWEST_UNITS}."
    )
    return _result(kind, name, "inconclusive", reason, paired.metric, Figures(clips=len(paired.rows)), None)


def _result(
    kind: Kind, name: str, outcome: Outcome, reason: str, metric: Metric, figures: Figures, power: PowerLine | None
) -> RuleResult:
    return RuleResult(
        kind=kind, rule=name, outcome=outcome, reason=reason, metric=metric.name, figures=figures, power=power
    )
