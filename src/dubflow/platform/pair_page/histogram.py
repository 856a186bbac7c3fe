"""How one figure is spread over a run's pairs: kept upon refused, and the limit as a broken line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.page.markup import Markup, element
from dubflow.judging.page.words import figure

BINS = 24
_WIDTH, _HEIGHT, _FOOT = 320.0, 110.0, 16.0


def histogram(kept: Sequence[float], refused: Sequence[float], bound: float | None, name: str) -> Markup | None:
    """Bars of finite values; None where there is none. Empty places beside the bars show that nothing lies there.

    Args:
        bound: the worst value that passes, where the figure is limited.
    """
    good, bad = (np.array([one for one in values if math.isfinite(one)], float) for values in (kept, refused))
    every = np.concatenate([good, bad])
    if not every.size:
        return None
    known = every if bound is None else np.append(every, bound)
    low, high = float(known.min()), float(known.max())
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    heights = [np.histogram(values, edges)[0] for values in (good, bad)]
    tallest = max(int((heights[0] + heights[1]).max()), 1)
    across, up = _WIDTH / BINS, (_HEIGHT - _FOOT - 4) / tallest
    floor = _HEIGHT - _FOOT
    bars = []
    for place, (fine, not_fine) in enumerate(zip(*heights, strict=True)):
        x = place * across
        for count, below, kind in ((int(fine), 0, "kept"), (int(not_fine), int(fine), "refused")):
            if count:
                top = floor - (below + count) * up
                bars.append(_bar(x, top, across, count * up, kind))
    line = None
    if bound is not None:
        x = round((bound - low) / (high - low) * _WIDTH, 1)
        line = element("line", x1=x, x2=x, y1=0, y2=floor, class_="limit")
    ends = [
        element("text", figure(value), x=x, y=_HEIGHT - 3, text_anchor=anchor)
        for value, x, anchor in ((low, 0, "start"), (high, _WIDTH, "end"))
    ]
    words = _in_words(name, good, bad, bound)
    return element(
        "svg",
        element("title", words),
        bars,
        line,
        ends,
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        class_="histogram",
        role="img",
        aria_label=words,
    )


def _bar(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    return element(
        "rect",
        x=round(x + 0.5, 2),
        y=round(y, 2),
        width=round(width - 1, 2),
        height=round(height, 2),
        class_=kind,
    )


def _in_words(name: str, kept: NDArray[np.float64], refused: NDArray[np.float64], bound: float | None) -> str:
    every = np.concatenate([kept, refused])
    limit = "" if bound is None else f", limit {figure(bound)}"
    return (
        f"{name} of {every.size} pairs ({kept.size} kept): from {figure(float(every.min()))} to "
        f"{figure(float(every.max()))}, median {figure(float(np.median(every)))}{limit}"
    )
