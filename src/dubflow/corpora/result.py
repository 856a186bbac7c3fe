"""What a reader of a public layout answers: rows it could make, and an account of everything it could not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dubflow.corpora.manifest import ClipRow

Trouble = Literal["missing", "broken", "left_out"]


@dataclass(frozen=True)
class Problem:
    """One listed thing that did not become a row, and why."""

    item: str
    kind: Trouble
    code: str
    reason: str


@dataclass
class Coverage:
    """Listed = found + missing + broken + left out; a test holds it, so nothing is skipped silently."""

    listed: int = 0
    found: int = 0
    problems: list[Problem] = field(default_factory=list)

    def count(self, kind: Trouble) -> int:
        """How many problems are of ``kind``."""
        return sum(problem.kind == kind for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Counts, counts a code, and every problem."""
        return {
            "listed": self.listed,
            "found": self.found,
            **{kind: self.count(kind) for kind in ("missing", "broken", "left_out")},
            "by_code": dict(sorted(Counter(problem.code for problem in self.problems).items())),
            "problems": [
                {name: _printable(value) for name, value in vars(problem).items()} for problem in self.problems
            ],
        }


def _printable(text: str) -> str:
    """File names that are no UTF-8 reach us with lone surrogates, which cannot be written."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass
class ImportResult:
    """Rows with paths relative to ``root``, and the coverage.

    Attributes:
        root: the folder that the rows' paths start from; None stands for the folder that was read.
    """

    rows: list[ClipRow]
    coverage: Coverage
    root: Path | None = None
