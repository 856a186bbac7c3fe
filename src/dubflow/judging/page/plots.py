"""The page's drawings as inline SVG: dots with intervals, and the mouth over the sound.

Champion and challenger differ in shape as well as in colour (Okabe and Ito's blue and vermilion, told apart by every
common colour vision). Colours are classes of the style sheet, so that dark mode and print restyle them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.page.markup import Markup, element, join

_WIDTH, _ROW, _PAD = 220.0, 18.0, 8.0
_CURVE_WIDTH, _CURVE_HEIGHT = 300.0, 70.0
MOUTH_TOP = 0.5
"""Mouth opening at the top of the drawing, in distances of the outer eye corners; speech reaches about 0.3."""


@dataclass(frozen=True)
class Dot:
    """One system's figure: ``kind`` is ``challenger`` or ``champion``; bounds are None where there is no interval."""

    kind: str
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def span(self) -> tuple[float, float]:
        """From the lowest to the highest number that the drawing must hold."""
        low, high = self.value if self.low is None else self.low, self.value if self.high is None else self.high
        return min(low, self.value), max(high, self.value)


def intervals(dots: Sequence[Dot], alt: str, axis: tuple[float, float] | None = None) -> Markup | None:
    """A row for each dot on one axis; None without dots.

    Args:
        alt: the same in words. axis: from where to where, for drawings to be read together; by default what holds the
            dots.
    """
    if not dots:
        return None
    place = _axis(*(axis or span(dots)))
    height = _ROW * len(dots) + 4
    rows = [_row(dot, place, 2 + _ROW * (index + 0.5)) for index, dot in enumerate(dots)]
    return _svg(_WIDTH, height, alt, join(rows), "intervals")


def span(dots: Sequence[Dot]) -> tuple[float, float]:
    """From the lowest to the highest number of any."""
    return min(dot.span[0] for dot in dots), max(dot.span[1] for dot in dots)


def gain(value: float, low: float | None, high: float | None, limit: float | None, alt: str) -> Markup:
    """A gain with its bounds, a line at no difference and a broken one at the ``limit`` that it must lie above.

    A bound that is None has none: the bar runs to the edge.
    """
    known = [0.0, value, *(edge for edge in (low, high, limit) if edge is not None)]
    place = _axis(min(known), max(known))
    y, bottom = 2 + _ROW / 2, _ROW + 4
    left, right = (_PAD if low is None else place(low)), (_WIDTH - _PAD if high is None else place(high))
    ends = [_line(x, y - 4, x, y + 4) for x, edge in ((left, low), (right, high)) if edge is not None]
    lines = [_line(place(0.0), 0, place(0.0), bottom, "zero")]
    if limit is not None:
        lines.append(_line(place(limit), 0, place(limit), bottom, "limit"))
    bar = element("g", _line(left, y, right, y), ends, class_="bar")
    mark = element("circle", cx=round(place(value), 1), cy=y, r=4.5)
    return _svg(_WIDTH, bottom, alt, join(lines, element("g", bar, mark)), "intervals gain")


def mouth_and_sound(
    envelope: NDArray[np.float64], mouth: NDArray[np.float64] | None, seconds: float, alt: str
) -> Markup | None:
    """The mouth's opening as a line over the loudness as an area.

    Args:
        envelope: ``[T]`` in 0..1, evenly over ``seconds``. mouth: ``[F]`` in eye distances, NaN where there is no
            face, evenly over ``seconds``; None where it was not measured.

    Returns:
        None for a clip without length.
    """
    if seconds <= 0 or not len(envelope):
        return None
    across = _CURVE_WIDTH / len(envelope)
    floor = _CURVE_HEIGHT - 1
    tops = " ".join(f"L{(i + 0.5) * across:.1f} {floor - v * (floor - 2):.1f}" for i, v in enumerate(envelope))
    sound = element("path", d=f"M0 {floor} {tops} L{_CURVE_WIDTH:g} {floor}Z", class_="sound")
    ticks = [
        element("line", x1=x, x2=x, y1=floor - 4, y2=floor, class_="tick")
        for second in range(1, math.ceil(seconds))
        for x in [round(second / seconds * _CURVE_WIDTH, 1)]
    ]
    line = None if mouth is None else element("path", d=_mouth_path(mouth, floor), class_="mouth")
    return _svg(_CURVE_WIDTH, _CURVE_HEIGHT, alt, join(sound, ticks, line), "curve")


def envelope(waveform: NDArray[np.float32], sample_rate: int, step_s: float = 0.02) -> NDArray[np.float64]:
    """Root mean square of each ``step_s`` as a share of the loudest: ``[ceil(N / step)]`` in 0..1."""
    step = max(1, round(step_s * sample_rate))
    if not len(waveform):
        return np.zeros(0)
    padded = np.pad(waveform.astype(np.float64), (0, -len(waveform) % step))
    level = np.sqrt(np.square(padded.reshape(-1, step)).mean(axis=1))
    loudest = float(level.max())
    scaled: NDArray[np.float64] = level / loudest if loudest > 0 else level
    return scaled


def _axis(low: float, high: float) -> Callable[[float], float]:
    """Where a number between ``low`` and ``high`` stands across the drawing; one number alone stands in the middle."""
    room = (high - low) or abs(high) or 1.0
    start, length = low - 0.06 * room, high - low + 0.12 * room
    return lambda value: _PAD + (value - start) / length * (_WIDTH - 2 * _PAD)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str | None = None) -> Markup:
    return element("line", x1=round(x1, 1), x2=round(x2, 1), y1=y1, y2=y2, class_=kind)


def _row(dot: Dot, place: Callable[[float], float], y: float) -> Markup:
    x = place(dot.value)
    bar = None
    if dot.low is not None and dot.high is not None:
        left, right = place(dot.low), place(dot.high)
        ends = [_line(end, y - 4, end, y + 4) for end in (left, right)]
        bar = element("g", _line(left, y, right, y), ends, class_="bar")
    if dot.kind == "challenger":
        mark = element("circle", cx=round(x, 1), cy=y, r=4.5)
    else:
        mark = element("path", d=f"M{x:.1f} {y - 5.5:g} l5.5 5.5 l-5.5 5.5 l-5.5 -5.5Z")
    return element("g", bar, mark, class_=dot.kind)


def _mouth_path(mouth: NDArray[np.float64], floor: float) -> str:
    across, pen, parts = _CURVE_WIDTH / max(1, len(mouth)), "M", []
    for index, value in enumerate(mouth):
        if not math.isfinite(value):
            pen = "M"  # no face here: the line is broken, not drawn through
            continue
        height = floor - min(float(value), MOUTH_TOP) / MOUTH_TOP * (floor - 2)
        parts.append(f"{pen}{(index + 0.5) * across:.1f} {height:.1f}")
        pen = "L"
    return " ".join(parts) or "M0 0"


def _svg(width: float, height: float, alt: str, content: Markup, kind: str) -> Markup:
    return element(
        "svg", element("title", alt), content, viewBox=f"0 0 {width:g} {height:g}", class_=kind, role="img",
        aria_label=alt, preserveAspectRatio="none" if kind == "curve" else None,
    )  # fmt: skip
