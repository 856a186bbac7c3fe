"""Rooms: a wall with what stands before it, drawn sharp at three times the size and then thrown out of focus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from dubflow.talkers.look import Colour
from dubflow.talkers.paint.geometry import Array, Image
from dubflow.talkers.paint.shading import Floats, as_bytes, grain, light_colour
from dubflow.talkers.pose import Light

_OVER: Final = 3
_WALLS: Final[tuple[Colour, ...]] = (
    (0.78, 0.76, 0.71),
    (0.66, 0.71, 0.74),
    (0.70, 0.74, 0.66),
    (0.82, 0.73, 0.66),
    (0.60, 0.62, 0.68),
    (0.74, 0.68, 0.72),
)
_WOODS: Final[tuple[Colour, ...]] = ((0.45, 0.31, 0.20), (0.60, 0.45, 0.30), (0.32, 0.22, 0.16), (0.72, 0.66, 0.58))


class Easel:
    """A picture under work whose coordinates run from 0 to 1 in both directions."""

    def __init__(self, height: int, width: int, colour: Colour) -> None:
        self.height, self.width = height, width
        self.picture = np.empty((height, width, 3), dtype=np.float32)
        self.picture[...] = np.array(colour, dtype=np.float32)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """A filled rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """A filled polygon."""
        pixels = np.array([(x * self.width * 16, y * self.height * 16) for x, y in points])
        cv2.fillPoly(self.picture, [np.round(pixels).astype(np.int32)], colour, cv2.LINE_8, 4)

    def disc(self, x: float, y: float, radius_x: float, radius_y: float, colour: Colour, angle: float = 0.0) -> None:
        """A filled ellipse; radii are parts of the width and the height, the angle in degrees."""
        centre = (round(x * self.width * 16), round(y * self.height * 16))
        axes = (max(1, round(radius_x * self.width * 16)), max(1, round(radius_y * self.height * 16)))
        cv2.ellipse(self.picture, centre, axes, angle, 0, 360, colour, -1, cv2.LINE_8, 4)

    def line(self, points: list[tuple[float, float]], colour: Colour, thickness: float) -> None:
        """A line through ``points``; its thickness is a part of the width."""
        pixels = np.round([(x * self.width * 16, y * self.height * 16) for x, y in points]).astype(np.int32)
        cv2.polylines(self.picture, [pixels], False, colour, max(1, round(thickness * self.width)), cv2.LINE_8, 4)

    def shade(self, factor: Array) -> None:
        """Multiply by ``factor`` ``[H, W]``."""
        self.picture *= factor[..., None].astype(np.float32)

    def grids(self) -> tuple[Floats, Floats]:
        """``x`` ``[1, W]`` and ``y`` ``[H, 1]``."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5) / self.width
        y = (np.arange(self.height, dtype=np.float32) + 0.5) / self.height
        return x[None, :], y[:, None]


def paint_room(seed: int, size: tuple[int, int], light: Light) -> Image:
    """The room of a seed, uint8 ``[H, W, 3]``."""
    height, width = size
    rng = np.random.default_rng([seed, 0xBAC])
    easel = Easel(height * _OVER, width * _OVER, _pick(rng, _WALLS))
    ROOMS[seed % len(ROOMS)](easel, rng)
    x, y = easel.grids()
    # The key light reaches one side of the wall more than the other.
    toward = float(np.sign(light.x or -1.0))
    easel.shade(1.02 + 0.13 * toward * (x - 0.5) - 0.16 * (y - 0.4) - 0.20 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))
    small = cv2.resize(easel.picture, (width, height), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.008 * min(size))
    small = small * (0.45 * light.key + 0.55 * light.fill) * light_colour(light)
    small += 0.004 * grain(size, 0.4, rng)[..., None]
    return as_bytes(np.asarray(small, dtype=np.float32))


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def times(colour: Colour, factor: float) -> Colour:
    """A brighter or darker colour."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _office(easel: Easel, rng: np.random.Generator) -> None:
    """A wall with framed pictures, a lamp and a plant."""
    wood = _pick(rng, _WOODS)
    for x, y, w, h in ((0.10, 0.13, 0.19, 0.24), (0.72, 0.10, 0.22, 0.17), (0.76, 0.33, 0.15, 0.20)):
        tone = tuple(rng.uniform(0.35, 0.8, 3))
        easel.box(x + 0.008, y + 0.012, x + w + 0.008, y + h + 0.012, (0.50, 0.48, 0.45))
        easel.box(x, y, x + w, y + h, wood)
        easel.box(x + 0.012, y + 0.012, x + w - 0.012, y + h - 0.012, (0.93, 0.92, 0.89))
        easel.box(x + 0.035, y + 0.035, x + w - 0.035, y + h - 0.035, (tone[0], tone[1], tone[2]))
        easel.polygon(
            [(x + 0.035, y + h - 0.035), (x + 0.4 * w, y + 0.5 * h), (x + w - 0.035, y + h - 0.035)],
            times((tone[2], tone[0], tone[1]), 0.75),
        )
    easel.box(0.0, 0.86, 1.0, 1.0, times(wood, 0.8))
    easel.box(0.0, 0.86, 1.0, 0.872, times(wood, 1.15))
    _plant(easel, rng, 0.14, 0.86)


def _plant(easel: Easel, rng: np.random.Generator, x: float, y: float) -> None:
    """A pot with leaves."""
    green = (0.26, 0.42, 0.24)
    for number in range(15):
        turn = -1.25 + 2.5 * number / 14 + rng.uniform(-0.1, 0.1)
        reach = rng.uniform(0.13, 0.24)
        tip_x, tip_y = x + reach * np.sin(turn) * 0.8, y - 0.10 - reach * np.cos(turn)
        easel.line([(x, y - 0.10), (tip_x, tip_y)], times(green, 0.8), 0.006)
        easel.disc(
            x + 0.8 * (tip_x - x), y - 0.10 + 0.8 * (tip_y - y + 0.10), 0.030, 0.014,
            times(green, rng.uniform(0.75, 1.35)), float(np.degrees(np.arctan2(tip_y - y, tip_x - x))),
        )  # fmt: skip
    easel.polygon([(x - 0.065, y - 0.12), (x + 0.065, y - 0.12), (x + 0.048, y), (x - 0.048, y)], (0.70, 0.42, 0.30))
    easel.box(x - 0.072, y - 0.13, x + 0.072, y - 0.105, (0.76, 0.47, 0.34))


def _window(easel: Easel, rng: np.random.Generator) -> None:
    """A window onto hills and houses, with a curtain."""
    easel.box(0.06, 0.05, 0.94, 0.80, (0.93, 0.92, 0.90))
    for share in np.linspace(0, 1, 24):
        y = 0.08 + 0.69 * share
        easel.box(0.085, y, 0.915, y + 0.03, (0.56 + 0.32 * share, 0.74 + 0.17 * share, 0.93 - 0.02 * share))
    for _ in range(5):
        x, y = rng.uniform(0.12, 0.85), rng.uniform(0.12, 0.32)
        for puff in range(4):
            easel.disc(x + 0.035 * puff, y + rng.uniform(-0.01, 0.01), 0.045, 0.022, (0.97, 0.97, 0.98))
    for level, colour in ((0.52, (0.58, 0.70, 0.72)), (0.60, (0.46, 0.60, 0.48)), (0.68, (0.36, 0.50, 0.33))):
        phase = rng.uniform(0, 6)
        ridge = [(float(x), level + 0.035 * float(np.sin(9 * x + phase))) for x in np.linspace(0.085, 0.915, 40)]
        easel.polygon([*ridge, (0.915, 0.775), (0.085, 0.775)], colour)
    for _ in range(7):
        x, y = rng.uniform(0.12, 0.85), rng.uniform(0.63, 0.72)
        easel.box(x, y, x + 0.045, y + 0.05, (0.86, 0.80, 0.72))
        easel.polygon([(x - 0.008, y), (x + 0.022, y - 0.03), (x + 0.053, y)], (0.64, 0.33, 0.26))
    easel.box(0.085, 0.765, 0.915, 0.79, (0.90, 0.89, 0.87))
    for x in (0.36, 0.64):
        easel.box(x - 0.010, 0.05, x + 0.010, 0.79, (0.92, 0.91, 0.89))
    easel.box(0.02, 0.79, 0.98, 0.83, (0.95, 0.94, 0.92))
    curtain = tuple(rng.uniform(0.5, 0.85, 3))
    for x in np.linspace(0.0, 0.12, 9):
        tone = times((curtain[0], curtain[1], curtain[2]), 0.82 + 0.18 * float(np.cos(x * 160)))
        easel.box(float(x), 0.0, float(x) + 0.016, 1.0, tone)
        easel.box(0.984 - float(x), 0.0, 1.0 - float(x), 1.0, tone)


def _shelf(easel: Easel, rng: np.random.Generator) -> None:
    """Shelves full of books."""
    wood = _pick(rng, _WOODS)
    easel.box(0.0, 0.0, 1.0, 1.0, times(wood, 0.45))
    for row in range(5):
        floor = 0.19 + 0.205 * row
        x = -0.01
        while x < 1.0:
            wide, tall = rng.uniform(0.016, 0.040), rng.uniform(0.10, 0.165)
            if rng.random() < 0.06:
                x += rng.uniform(0.03, 0.08)
                continue
            base = 0.55 * rng.uniform(0.15, 0.75, 3) + 0.45 * rng.uniform(0.2, 0.6)
            colour = (float(base[0]), float(0.88 * base[1]), float(0.80 * base[2]))
            easel.box(x, floor - tall, x + wide, floor, colour)
            easel.box(x, floor - tall, x + 0.2 * wide, floor, times(colour, 1.25))
            easel.box(x, floor - 0.75 * tall, x + wide, floor - 0.68 * tall, times(colour, 1.5))
            x += wide + 0.002
        easel.box(0.0, floor, 1.0, floor + 0.024, wood)
        easel.box(0.0, floor + 0.018, 1.0, floor + 0.040, times(wood, 0.30))
    for x in (0.30, 0.72):
        easel.box(x - 0.012, 0.0, x + 0.012, 1.0, times(wood, 1.05))


def _studio(easel: Easel, rng: np.random.Generator) -> None:
    """A plain backdrop with a pool of light."""
    colour = np.array(_pick(rng, ((0.46, 0.52, 0.60), (0.56, 0.50, 0.47), (0.42, 0.52, 0.50), (0.60, 0.60, 0.62))))
    easel.picture[...] = colour.astype(np.float32)
    x, y = easel.grids()
    easel.shade(0.72 + 0.55 * np.exp(-(((x - 0.45) / 0.45) ** 2) - ((y - 0.42) / 0.45) ** 2))


def _bricks(easel: Easel, rng: np.random.Generator) -> None:
    """A brick wall with a hanging lamp."""
    easel.box(0.0, 0.0, 1.0, 1.0, (0.62, 0.58, 0.54))
    base = np.array(_pick(rng, ((0.62, 0.36, 0.28), (0.70, 0.66, 0.62), (0.52, 0.40, 0.34))))
    for row in range(24):
        for column in range(-1, 11):
            x = (column + 0.5 * (row % 2)) * 0.105
            tone = base * rng.uniform(0.82, 1.12)
            easel.box(x, row * 0.043, x + 0.098, row * 0.043 + 0.037, (float(tone[0]), float(tone[1]), float(tone[2])))
    easel.line([(0.16, 0.0), (0.16, 0.12)], (0.12, 0.12, 0.12), 0.006)
    easel.polygon([(0.13, 0.12), (0.19, 0.12), (0.24, 0.20), (0.08, 0.20)], (0.20, 0.23, 0.25))
    easel.disc(0.16, 0.205, 0.05, 0.02, (1.0, 0.93, 0.74))
    x_grid, y_grid = easel.grids()
    easel.shade(0.90 + 0.42 * np.exp(-(((x_grid - 0.16) / 0.22) ** 2) - ((y_grid - 0.36) / 0.22) ** 2))


def _kitchen(easel: Easel, rng: np.random.Generator) -> None:
    """Tiles, a cupboard, a board with jars."""
    tile = np.array(_pick(rng, ((0.86, 0.88, 0.87), (0.70, 0.80, 0.80), (0.88, 0.82, 0.70))))
    easel.box(0.0, 0.0, 1.0, 1.0, (0.74, 0.74, 0.72))
    for row in range(12):
        for column in range(12):
            tone = tile * rng.uniform(0.95, 1.03)
            x, y = column / 12, row / 12
            easel.box(x + 0.003, y + 0.003, x + 0.080, y + 0.080, (float(tone[0]), float(tone[1]), float(tone[2])))
    wood = _pick(rng, _WOODS)
    easel.box(0.66, 0.0, 1.0, 0.26, wood)
    easel.box(0.675, 0.015, 0.825, 0.245, times(wood, 1.1))
    easel.box(0.84, 0.015, 0.99, 0.245, times(wood, 1.1))
    easel.disc(0.812, 0.20, 0.006, 0.006, (0.85, 0.82, 0.75))
    easel.disc(0.853, 0.20, 0.006, 0.006, (0.85, 0.82, 0.75))
    for level in (0.30, 0.58):
        easel.box(0.0, level, 0.26, level + 0.022, times(wood, 1.1))
        easel.box(0.0, level + 0.022, 0.26, level + 0.034, (0.55, 0.55, 0.53))
        x = 0.02
        while x < 0.22:
            wide, tall = rng.uniform(0.035, 0.055), rng.uniform(0.07, 0.13)
            tone = rng.uniform(0.35, 0.85, 3)
            easel.box(x, level - tall, x + wide, level, (float(tone[0]), float(tone[1]), float(tone[2])))
            easel.box(x + 0.004, level - tall - 0.018, x + wide - 0.004, level - tall, (0.50, 0.40, 0.30))
            x += wide + 0.012


ROOMS: Final[tuple[Callable[[Easel, np.random.Generator], None], ...]] = (
    _office,
    _window,
    _shelf,
    _studio,
    _bricks,
    _kitchen,
)
