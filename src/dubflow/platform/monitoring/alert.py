"""Alerts that are no burn rate: levels, states that should not be, and data that is missing.

``page`` is for what users feel now, ``ticket`` for what they will feel. Every alert names in :attr:`Alert.without` who
fires when its own data is missing, because an expression over nothing is silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Alert:
    """One rule that fires.

    Attributes:
        hold: how long it must be so before it fires (``for``).
        summary, description: may name labels as ``{{ $labels.x }}``.
        without: the alert that fires where this one's data is missing; its own name where it does so itself.
    """

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    description: str
    without: str
    labels: Mapping[str, str] = field(default_factory=dict)
