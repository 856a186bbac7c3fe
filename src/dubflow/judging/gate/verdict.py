"""The verdict: promote, refuse or inconclusive, with every rule's figures and its reason in plain words."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.corpora.cache import content_key
from dubflow.judging.card.rows import Digest, Finite, ScoreCard

FORMAT: Literal["dubflow.verdict/1"] = "dubflow.verdict/1"

Decision = Literal["promote", "refuse", "inconclusive"]
Outcome = Literal["pass", "refuse", "inconclusive", "not_applicable"]
Kind = Literal[
    "comparable", "sample", "primary", "guardrail", "floor", "slice", "success", "package", "licence", "lineage", "cost"
]


class PowerLine(Strict):
    """What the clips can see.

    ``visible`` and ``asked`` are in the metric's unit; ``needed`` counts what is resampled (clips or speakers).
    """

    units: int
    visible: Finite
    asked: Finite
    needed: int
    power: float
    text: str


class Figures(Strict):
    """A rule's figures; None where it has no such figure. ``gain`` is positive where the challenger is better."""

    challenger: Finite | None = None
    champion: Finite | None = None
    gain: Finite | None = None
    low: Finite | None = Field(None, description="One-sided lower bound at the policy's alpha; None: unbounded.")
    high: Finite | None = Field(None, description="One-sided upper bound at the policy's alpha; None: unbounded.")
    limit: Finite | None = Field(None, description="What the rule compares with.")
    p: Finite | None = Field(None, description="Of the rule's claim, corrected by Holm where the rule says so.")
    clips: int | None = None


class RuleResult(Strict):
    """One rule, applied."""

    kind: Kind
    rule: str = Field(description="Stable name, such as guardrail.secs or slice.language_pair.en-fr.wer.")
    outcome: Outcome
    reason: str = Field(min_length=1, description="In plain words.")
    metric: str | None = None
    by: str | None = None
    group: str | None = None
    figures: Figures = Figures()
    power: PowerLine | None = None


class Party(Strict):
    """Whose card."""

    system: str
    package: Digest | None
    card: Digest

    @classmethod
    def of(cls, card: ScoreCard) -> Party:
        """The party that ``card`` is of."""
        return cls(system=card.system, package=card.package, card=card.digest)


class Verdict(Strict):
    """The gate's answer, bound to the package and to both cards by their digests."""

    format: Literal["dubflow.verdict/1"] = FORMAT
    decision: Decision
    headline: str
    world: Literal["embedded", "real"]
    challenger: Party
    champion: Party | None
    protocol: Digest
    benchmark: str
    policy: str
    policy_digest: Digest
    made_at: str | None = Field(None, description="UTC, ISO 8601.")
    rules: tuple[RuleResult, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _follows_from_its_rules(self) -> Verdict:
        if self.decision != decision(self.rules):
            raise ValueError(f"the rules say {decision(self.rules)}, not {self.decision}")
        return self

    @property
    def digest(self) -> str:
        """Of everything in it."""
        return content_key(self.model_dump(mode="json"))


def decision(rules: tuple[RuleResult, ...]) -> Decision:
    """Refuse where any rule refuses, else inconclusive where any is, else promote."""
    outcomes = {rule.outcome for rule in rules}
    if "refuse" in outcomes:
        return "refuse"
    return "inconclusive" if "inconclusive" in outcomes or "pass" not in outcomes else "promote"
