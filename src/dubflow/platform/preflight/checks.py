"""A check: a rule, and the function that finds where an overlay breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dubflow.platform.preflight.findings import Finding, Rule
from dubflow.platform.preflight.resources import Manifests


@dataclass(frozen=True)
class Check:
    """``run`` gives what breaks ``rule``."""

    rule: Rule
    run: Callable[[Manifests], Iterable[Finding]]
