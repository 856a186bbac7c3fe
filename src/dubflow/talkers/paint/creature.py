"""Heads that are not human: what each is made of, and which there are.

They share the painter of people: the same head surface, warped by the same mouth and drawn in the same poses and light,
so their mouths open as exactly as anybody's. What differs is form, colour, eyes, and what sticks to the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from dubflow.talkers.look import Colour
from dubflow.talkers.paint.anatomy import Anatomy
from dubflow.talkers.paint.geometry import Array, Image, seen_point
from dubflow.talkers.paint.mouth import MouthPainter
from dubflow.talkers.paint.skin import Skin
from dubflow.talkers.paint.sprites import Sprite
from dubflow.talkers.pose import Pose


class Eyes(Protocol):
    """Paints the eyes and what moves with them."""

    def paint(self, target: Image, pose: Pose) -> None:
        """Repaint them on ``target`` (the whole canvas of the skin, uint8)."""


@dataclass(frozen=True)
class Attached:
    """A flat part that sticks to the head at ``place`` (``x, y, z`` in head units) and is drawn behind it."""

    sprite: Sprite
    place: tuple[float, float, float]


@dataclass(frozen=True)
class Creature:
    """The parts of a head that is not human.

    Attributes:
        face: its measures; the look in it has the colours of neck and clothes. skin: painted, at rest.
        ears: at the sides, by side (-1 left, 1 right); may be empty. behind: drawn before the head, in order.
        whiskers: curves in space ``[N, 3]`` before the face, in ``whisker_colour`` (0 to 1).
    """

    face: Anatomy
    skin: Skin
    mouth: MouthPainter
    eyes: Eyes
    ears: Mapping[int, Sprite] = field(default_factory=dict)
    behind: tuple[Attached, ...] = ()
    whiskers: tuple[Array, ...] = ()
    whisker_colour: Colour = (0.9, 0.9, 0.88)


def paint_whiskers(frame: Image, creature: Creature, pose: Pose, head: Array) -> None:
    """Draw the whiskers over ``frame`` in place; ``head`` ``[2, 3]`` takes head units to pixel coordinates."""
    colour = tuple(255.0 * part for part in creature.whisker_colour)
    for curve in creature.whiskers:
        seen = np.array([seen_point((x, y, z), pose.yaw, pose.pitch) for x, y, z in curve])
        pixels = np.round((seen @ head[:, :2].T + head[:, 2]) * 16.0).astype(np.int32)
        cv2.polylines(frame, [pixels], False, colour, 1, cv2.LINE_AA, 4)
