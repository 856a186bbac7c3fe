"""What a check says: findings with a code, how bad they are, and which clip they are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (``error``) or worth a look (``warning``); ``clip`` is None for the corpus as a whole."""

    code: str
    severity: Severity
    clip: str | None
    message: str


@dataclass(frozen=True)
class CheckReport:
    """Everything a check found."""

    clips: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return not any(finding.severity == "error" for finding in self.findings)

    def count(self, severity: Severity) -> int:
        """Findings of that severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: counts, counts a code, and every finding."""
        return {
            "clips": self.clips,
            "ok": self.ok,
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "by_code": dict(sorted(Counter(finding.code for finding in self.findings).items())),
            "findings": [vars(finding) for finding in self.findings],
        }


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, then by clip and code, so that equal corpora give equal reports."""
    return tuple(sorted(findings, key=lambda one: (one.severity, one.clip or "", one.code, one.message)))
