"""The power line: what difference the clips at hand can see, and how many would be needed for the one asked for.

Normal approximation of the one-sided paired test: with a spread ``s`` of the paired differences, ``n`` units see a
difference of ``(z(1 - alpha) + z(power)) * s / sqrt(n)`` with the wanted power. It speaks of clips like these: the
spread is estimated from them.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from dubflow.judging.gate.verdict import PowerLine


def visible(spread: float, units: int, alpha: float, power: float) -> float:
    """Smallest difference that ``units`` see with ``power`` at one-sided ``alpha``, in the unit of ``spread``."""
    return _z(alpha, power) * spread / math.sqrt(units)


def needed(spread: float, difference: float, alpha: float, power: float) -> int:
    """Units that see ``difference`` (> 0) with ``power`` at one-sided ``alpha``; at least 2."""
    return max(2, math.ceil((_z(alpha, power) * spread / difference) ** 2))


def power_line(
    spread: float, units: int, asked: float, alpha: float, power: float, *, unit: str = "", kind: str = "clips"
) -> PowerLine:
    """Both, and a sentence. ``kind`` names what is resampled; ``unit`` is the metric's."""
    sees, enough = visible(spread, units, alpha, power), needed(spread, asked, alpha, power)
    text = (
        f"{units} {kind} can see a difference of {amount(sees, unit)} at {power:.0%} power; "
        f"you asked for {amount(asked, unit)}: "
    )
    text += f"about {_about(enough)} are needed." if enough > units else "they are enough."
    return PowerLine(units=units, visible=sees, asked=asked, needed=enough, power=power, text=text)


def amount(value: float, unit: str) -> str:
    """Three significant digits and the unit."""
    return f"{value:.3g} {unit}".rstrip()


def _about(count: int) -> str:
    """``count`` to two digits, upwards: the spread is an estimate itself."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{math.ceil(count / step) * step:,}"


def _z(alpha: float, power: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)
