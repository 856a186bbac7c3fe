"""Things in the room that make a sound when they move: a door, a dog, clapping hands on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from dubflow.talkers.events import EventKind, SoundEvent, frames_since
from dubflow.talkers.paint.geometry import Image
from dubflow.talkers.paint.scenery import Easel, times
from dubflow.talkers.paint.shading import as_bytes, light_colour
from dubflow.talkers.pose import Light

Box = tuple[float, float, float, float]
State = tuple[float, float]

# Where each thing stands: left, top, right, bottom as parts of the picture; a head in the middle leaves them in sight.
PLACES: Final[dict[EventKind, Box]] = {
    "door": (0.01, 0.16, 0.20, 0.86),
    "clap": (0.79, 0.07, 0.99, 0.31),
    "dog": (0.80, 0.46, 0.995, 0.80),
}
_OVER: Final = 4


def state(kind: EventKind, frame: int, events: Sequence[SoundEvent]) -> State:
    """How far a thing has moved at ``frame``: (main movement 0 to 1, shaking).

    Before an event everything rests in the position from which the event starts; the event's own frame shows the whole
    movement at once, and the way back is too slow to be taken for an event.
    """
    since = frames_since(kind, frame, events)
    if since is None:
        return 0.0, 0.0
    shake = (1.0, -0.8, 0.5, -0.3, 0.15)[since] if since < 5 else 0.0
    hold, back = {"door": (14, 60), "clap": (2, 30), "dog": (2, 14)}[kind]
    rest = min(max(since - hold, 0) / back, 1.0)
    return 1.0 - rest * rest * (3.0 - 2.0 * rest), shake


def paint_prop(kind: EventKind, moved: State, room: Image, seed: int, light: Light) -> Image:
    """``room`` (the part of the picture behind the thing, uint8) with the thing in state ``moved`` on it."""
    height, width = room.shape[:2]
    easel = Easel(height * _OVER, width * _OVER, (0.0, 0.0, 0.0))
    behind = cv2.resize(room, (easel.width, easel.height), interpolation=cv2.INTER_LINEAR)
    lit = (0.45 * light.key + 0.55 * light.fill) * light_colour(light)
    easel.picture[...] = behind.astype(np.float32) / (255.0 * lit)
    painters = {"door": _door, "clap": _screen, "dog": _dog}
    painters[kind](easel, *moved, np.random.default_rng([seed, 0xD0, len(kind)]))
    small = cv2.resize(easel.picture, (width, height), interpolation=cv2.INTER_AREA)
    return as_bytes(np.asarray(small * lit, dtype=np.float32))


def _door(easel: Easel, shut: float, shake: float, rng: np.random.Generator) -> None:
    """A door, hinged on the left: ajar onto a dark hall, then shut."""
    tone = float(rng.uniform(0.8, 1.15))
    leaf = times(((0.50, 0.36, 0.24), (0.66, 0.64, 0.60), (0.30, 0.40, 0.44))[int(rng.integers(3))], tone)
    easel.box(0.0, 0.0, 1.0, 1.0, times((0.88, 0.86, 0.82), 0.96 + 0.04 * shake))
    easel.box(0.09, 0.03, 0.91, 1.0, (0.10, 0.09, 0.10))
    easel.polygon([(0.09, 1.0), (0.91, 1.0), (0.70, 0.86), (0.09, 0.86)], (0.34, 0.28, 0.20))
    edge = 0.91 - (1.0 - shut) * 0.40 + 0.012 * shake
    drop = 0.035 * (1.0 - shut)
    shade = 0.70 + 0.30 * shut
    easel.polygon([(0.09, 0.03), (edge, 0.03 + drop), (edge, 1.0), (0.09, 1.0)], times(leaf, shade))
    span = edge - 0.09
    for top, bottom in ((0.10, 0.44), (0.54, 0.92)):
        for inset, level in ((0.0, 0.78), (0.03, 1.08)):
            easel.polygon(
                [
                    (0.09 + (0.16 + inset) * span, top + inset * 0.5),
                    (0.09 + (0.84 - inset) * span, top + inset * 0.5 + drop * 0.8),
                    (0.09 + (0.84 - inset) * span, bottom - inset * 0.5),
                    (0.09 + (0.16 + inset) * span, bottom - inset * 0.5),
                ],
                times(leaf, shade * level),
            )
    easel.disc(edge - 0.10 * span, 0.52, 0.050 * (0.4 + 0.6 * shut), 0.016, (0.88, 0.76, 0.42))


def _screen(easel: Easel, together: float, shake: float, rng: np.random.Generator) -> None:
    """A screen on the wall with a pair of hands on it."""
    easel.box(0.0, 0.0, 1.0, 1.0, (0.09, 0.09, 0.10))
    glow = rng.uniform(0.35, 0.7, 3)
    easel.box(0.05, 0.06, 0.95, 0.94, (float(glow[0]), float(glow[1]), float(glow[2])))
    easel.disc(0.5, 0.55, 0.40, 0.36, times((float(glow[0]), float(glow[1]), float(glow[2])), 1.18))
    skin = ((0.90, 0.71, 0.58), (0.60, 0.42, 0.30), (0.78, 0.56, 0.42))[int(rng.integers(3))]
    cloth = rng.uniform(0.2, 0.6, 3)
    apart = 0.165 * (1.0 - together) + 0.004 * shake
    for side in (-1.0, 1.0):
        palm_x = 0.5 + side * (0.062 + apart)
        easel.line(
            [(0.5 + side * 0.40, 0.93), (palm_x + side * 0.03, 0.66)],
            (float(cloth[0]), float(cloth[1]), float(cloth[2])),
            0.15,
        )
        easel.line([(0.5 + side * 0.26, 0.76), (palm_x + side * 0.01, 0.64)], times(skin, 0.9), 0.10)
        easel.disc(palm_x, 0.54, 0.060, 0.135, skin, side * 6.0)
        for finger in range(4):
            x = palm_x - side * 0.030 + side * 0.022 * finger
            easel.line(
                [(x, 0.48), (x - side * 0.012, 0.25 + 0.022 * abs(finger - 1))], times(skin, 1.0 - 0.06 * finger), 0.036
            )
        easel.line([(palm_x + side * 0.02, 0.55), (palm_x - side * 0.045, 0.42)], times(skin, 0.86), 0.038)
    if together > 0.5 and shake != 0.0:
        for turn in np.linspace(-1.1, 1.1, 5):
            start = (0.5 + 0.20 * float(np.sin(turn)), 0.36 - 0.22 * float(np.cos(turn)))
            stop = (0.5 + 0.29 * float(np.sin(turn)), 0.36 - 0.29 * float(np.cos(turn)))
            easel.line([start, stop], (0.98, 0.96, 0.85), 0.018)


def _dog(easel: Easel, bark: float, shake: float, rng: np.random.Generator) -> None:
    """A dog sitting on a stool: shut mouth at rest, head thrown up and jaw open for a bark."""
    coat = ((0.55, 0.38, 0.22), (0.80, 0.70, 0.55), (0.24, 0.21, 0.20))[int(rng.integers(3))]
    patch, muzzle = times(coat, 0.62), tuple(min(1.0, 0.35 + 0.75 * part) for part in coat)
    light_fur = (muzzle[0], muzzle[1], muzzle[2])
    easel.box(0.10, 0.92, 0.98, 1.0, (0.42, 0.29, 0.19))
    easel.disc(0.58, 0.86, 0.30, 0.30, coat)
    easel.disc(0.52, 0.88, 0.15, 0.22, light_fur)
    for x in (0.42, 0.66):
        easel.line([(x, 0.80), (x, 0.94)], times(coat, 1.08), 0.13)
    lift = -0.050 * bark - 0.012 * shake
    middle = 0.40 + lift
    jaw = 0.16 * bark
    easel.disc(0.50, middle, 0.27, 0.21, coat)
    for side in (-1.0, 1.0):
        easel.disc(0.50 + side * 0.27, middle + 0.03 - 0.05 * bark, 0.085, 0.17, patch, side * (-12.0 - 16.0 * bark))
        easel.disc(0.50 + side * 0.11, middle - 0.045, 0.044, 0.034, (0.10, 0.07, 0.06))
        easel.disc(0.50 + side * 0.11 - 0.014, middle - 0.058, 0.013, 0.010, (0.96, 0.96, 0.96))
        easel.line(
            [(0.50 + side * 0.16, middle - 0.105), (0.50 + side * 0.07, middle - 0.115 + 0.02 * bark)], patch, 0.025
        )
    easel.disc(0.50, middle + 0.13 + jaw, 0.120, 0.085, times(light_fur, 0.90))
    if jaw > 0.02:
        easel.disc(0.50, middle + 0.115 + 0.55 * jaw, 0.100, 0.045 + 0.55 * jaw, (0.30, 0.06, 0.07))
        easel.disc(0.50, middle + 0.135 + 0.85 * jaw, 0.062, 0.018 + 0.30 * jaw, (0.86, 0.44, 0.46))
    easel.disc(0.50, middle + 0.085, 0.145, 0.085, light_fur)
    easel.disc(0.50, middle + 0.045, 0.062, 0.038, (0.09, 0.07, 0.07))
    easel.disc(0.48, middle + 0.035, 0.015, 0.009, (0.75, 0.75, 0.75))
    easel.line([(0.50, middle + 0.08), (0.50, middle + 0.135)], (0.25, 0.16, 0.13), 0.014)
