"""From the figures of a run's pairs to reasons against some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dubflow.incontext.pairs.quality.figures import FIGURES, Figure
from dubflow.incontext.pairs.quality.settings import QualitySettings

Figures = Mapping[str, float]


def bounds_of(figures: Sequence[Figures], settings: QualitySettings) -> dict[str, float]:
    """The worst value that passes, for every limited figure of a run: the stricter of bound and worst share.

    A worst share is a quantile of the run's own values, so it needs all of them; below ``least_pairs`` values it
    refuses nothing.
    """
    bounds = {}
    for name, limit in settings.limits.items():
        higher = FIGURES[name].better == "higher"
        found = [] if limit.bound is None else [limit.bound]
        values = [one[name] for one in figures if name in one]
        if limit.worst_share is not None and len(values) >= settings.least_pairs:
            share = limit.worst_share if higher else 1 - limit.worst_share
            # A value of the run itself, so that what lies on the border passes whatever rounding does.
            found.append(float(np.quantile(values, share, method="higher" if higher else "lower")))
        if found:
            bounds[name] = max(found) if higher else min(found)
    return bounds


def verdicts(figures: Sequence[Figures], settings: QualitySettings) -> list[tuple[str, ...]]:
    """Reasons against each pair, in the order of :data:`FIGURES`; empty for a good one.

    A reason reads ``same_lips: lmd 0.004 is below 0.01``; what stands before the colon is a
    :data:`~dubflow.incontext.pairs.quality.figures.Reason`.
    """
    bounds = bounds_of(figures, settings)
    return [_reasons(one, bounds, settings) for one in figures]


def reason_of(told: str) -> str:
    """What a reason is counted as: the part before its colon."""
    return told.partition(":")[0]


def _reasons(found: Figures, bounds: Mapping[str, float], settings: QualitySettings) -> tuple[str, ...]:
    bad = {name for name, bound in bounds.items() if name in found and _is_worse(found[name], bound, FIGURES[name])}
    told = []
    for name, figure in FIGURES.items():
        if name in bad:
            side = "below" if figure.better == "higher" else "above"
            told.append(f"{figure.reason}: {name} {found[name]:.4g} is {side} {bounds[name]:.4g}")
        elif name in settings.limits and name not in found and settings.unmeasured and figure.needs not in bad:
            told.append(f"unmeasured: {name}")
    return tuple(told)


def _is_worse(value: float, bound: float, figure: Figure) -> bool:
    return value < bound if figure.better == "higher" else value > bound
