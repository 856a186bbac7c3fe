"""What a check says, and the rules that checks hold to.

A rule is a name such as ``policy.non_root``: what is asked and why. A finding is one place that breaks a rule, or one
place that a rule could not look at, which is never the same as being fine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["refused", "warning", "unchecked"]
_ORDER: dict[Severity, int] = {"refused": 0, "warning": 1, "unchecked": 2}


@dataclass(frozen=True)
class Rule:
    """What is asked of manifests.

    Args:
        name: ``group.snake_case``; stable, and the name of the test's manifest that breaks it.
        asks: one sentence, what has to hold. why: one sentence, what happens otherwise.
    """

    name: str
    asks: str
    why: str

    @property
    def group(self) -> str:
        """The part before the dot: ``policy``, ``reference``, ``image``…"""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Finding:
    """One place that breaks a rule, or could not be looked at.

    Args:
        where: a file below the project's root, or ``Kind namespace/name`` of a rendered resource.
        line: of the file, from 1; None where the place is no file.
        rule: the name of the :class:`Rule`.
        severity: ``refused`` fails the check; ``warning`` is worth a look; ``unchecked`` says what nobody looked at.
        message: one sentence, what is wrong. hint: one sentence, what to do.
    """

    where: str
    line: int | None
    rule: str
    severity: Severity
    message: str
    hint: str = ""

    @property
    def group(self) -> str:
        """The part of the rule before the dot."""
        return self.rule.partition(".")[0]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def refused(rule: Rule, where: str, message: str, hint: str = "", line: int | None = None) -> Finding:
    """A finding that fails the check."""
    return Finding(where, line, rule.name, "refused", message, hint)


def warned(rule: Rule, where: str, message: str, hint: str = "", line: int | None = None) -> Finding:
    """A finding that is worth a look."""
    return Finding(where, line, rule.name, "warning", message, hint)


def unchecked(rule: Rule, where: str, message: str, hint: str = "") -> Finding:
    """A finding that says what could not be looked at, and why."""
    return Finding(where, None, rule.name, "unchecked", message, hint)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once; refused first, then by group, rule and place, so that equal manifests give equal reports."""
    return tuple(
        sorted(set(findings), key=lambda one: (_ORDER[one.severity], one.rule, one.where, one.line or 0, one.message))
    )


def counts(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many of each severity."""
    found = Counter(one.severity for one in findings)
    return {severity: found[severity] for severity in _ORDER}
