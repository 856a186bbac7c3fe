"""The moving lower face: jaw, lips, teeth and tongue, painted onto the canvas of the skin.

Every pixel of the moved face asks where it was at rest (an inverse map), so the lips keep their painted form. The map
is smooth but for the slit between the lips, which the inside of the mouth covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from dubflow.talkers.look import Colour
from dubflow.talkers.paint.anatomy import Anatomy
from dubflow.talkers.paint.geometry import Array, Image
from dubflow.talkers.paint.skin import Skin, mouth_line
from dubflow.talkers.pose import Light, Pose

Floats = npt.NDArray[np.float32]

_JAW_TOP = 0.12  # where the cheeks begin to follow the jaw at the sides
_JAW_END = 0.97
_MOST_DROP = 0.5
_COARSE = 6  # canvas pixels a step of the smooth part of the map


@dataclass(frozen=True)
class MouthStyle:
    """What the inside of a mouth is made of; the defaults are a human being's. Colours are 0 to 1.

    Attributes:
        cavity, enamel, tongue: colours, lit. has_tongue: whether there is one. gaps: how dark the gaps of the teeth.
    """

    cavity: Colour = (0.20, 0.055, 0.055)
    enamel: Colour = (1.0, 0.965, 0.91)
    tongue: Colour = (0.78, 0.40, 0.39)
    has_tongue: bool = True
    gaps: float = 0.10


HUMAN_MOUTH: Final = MouthStyle()


@dataclass(frozen=True)
class MouthShape:
    """The mouth in one pose, in head units: gap, half width, corners down and up, thinning of the lips, chin down."""

    gap: float
    half: float
    corner: float
    lift: float
    thinning: float
    drop: float
    roundness: float

    @classmethod
    def of(cls, face: Anatomy, pose: Pose) -> MouthShape:
        """The shape that ``pose`` asks of ``face``."""
        distance = face.eye_distance / face.length
        # The eye distance shrinks in the picture when the head turns, the gap when it nods; an opening is what is seen.
        gap = _drawn_gap(pose.opening) * distance * float(np.cos(pose.yaw) / np.cos(pose.pitch))
        half = face.mouth_half * (1.0 + pose.width) * (1.0 - 0.34 * pose.rounding) * (1.0 - 0.25 * pose.opening)
        pressed = pose.press * float(np.exp(-((pose.opening / 0.04) ** 2)))
        thinning = (1.0 + 0.9 * pressed + 0.9 * gap + 0.35 * max(pose.width, 0.0)) * (1.0 - 0.22 * pose.rounding)
        drop = min(0.80 * gap + pose.jaw * distance, _MOST_DROP)
        return cls(gap, half, 0.30 * gap, -0.16 * pose.width, thinning, drop, pose.rounding)


def _drawn_gap(opening: float) -> float:
    """The gap to draw for an opening.

    Lips that just part roll inwards, and half-open ones show teeth that pass for a lip: both look less open than they
    are. The correction, fitted to what a face mesh measures, is at most 0.015.
    """
    parting = 0.022 * opening / (opening + 0.015) * np.exp(-((opening / 0.07) ** 2))
    half_open = 0.04 * opening * np.exp(-(((opening - 0.15) / 0.04) ** 2))
    return float(0.99 * opening + parting + half_open)


def jaw_heights(rows: Array, shape: MouthShape) -> Array:
    """Where the head's rows (heights at rest) stand when the chin has dropped."""
    if shape.drop == 0.0:
        return rows
    seen = np.linspace(rows[0], rows[-1] + shape.drop + 0.05, 160)
    rest = seen - shape.drop * _ramp(seen, _JAW_TOP)
    return np.asarray(np.interp(rows, rest, seen))


class MouthPainter:
    """Paints the lower face of one skin in any pose."""

    def __init__(self, face: Anatomy, skin: Skin, light: Light, style: MouthStyle = HUMAN_MOUTH) -> None:
        canvas = skin.canvas
        self._face, self._skin, self._light, self._style = face, skin, light, style
        self._enamel, self._flesh = (np.array(colour, dtype=np.float32) for colour in (style.enamel, style.tongue))
        self._lower = canvas.window(canvas.u0, 0.08, 9.0, 9.0)
        self._mouth = canvas.window(-0.46, face.nose_y - 0.03, 0.46, 1.32)
        rows, columns = self._lower
        u, v = canvas.grids(self._lower)
        coarse_u = np.linspace(u[0, 0], u[0, -1], max(2, (columns.stop - columns.start) // _COARSE))
        coarse_v = np.linspace(v[0, 0], v[-1, 0], max(2, (rows.stop - rows.start) // _COARSE))
        self._coarse = coarse_u.astype(np.float32)[None, :], coarse_v.astype(np.float32)[:, None]
        self._fine = canvas.grids(self._mouth)
        brightness = float(np.median(skin.lit[self._mouth]))
        self._inside_light = np.float32(255.0 * min(1.0, 0.32 + 0.75 * brightness))

    def paint(self, target: Image, shape: MouthShape, pose: Pose) -> None:
        """Repaint all that moves of the lower face on ``target`` (the whole canvas, uint8)."""
        canvas, size = self._skin.canvas, target[self._lower].shape[1::-1]
        density = np.float32(canvas.density)
        coarse = _rest_place(self._face, shape, *self._coarse)
        place_u, place_v = (cv2.resize(part, size, interpolation=cv2.INTER_LINEAR) for part in coarse)
        (rows, columns), (lower_rows, lower_columns) = self._mouth, self._lower
        inner = (
            slice(rows.start - lower_rows.start, rows.stop - lower_rows.start),
            slice(columns.start - lower_columns.start, columns.stop - lower_columns.start),
        )
        place_u[inner], place_v[inner] = _rest_place(self._face, shape, *self._fine)
        place_u -= np.float32(canvas.u0)
        place_v -= np.float32(canvas.v0)
        place_u *= density
        place_v *= density
        cv2.remap(
            self._skin.bare,
            place_u,
            place_v,
            cv2.INTER_LINEAR,
            dst=target[self._lower],
            borderMode=cv2.BORDER_REPLICATE,
        )
        self._inside(target[self._mouth], shape, pose)

    def _inside(self, target: Image, shape: MouthShape, pose: Pose) -> None:
        """The cavity, teeth and tongue between the lips."""
        u, v = self._fine
        density = self._skin.canvas.density
        half = shape.half
        columns = np.flatnonzero(np.abs(u[0]) < half + 1.5 / density)
        reach = slice(int(columns[0]), int(columns[-1]) + 1)
        u = u[:, reach]
        top, bottom = _edges(self._face, shape, u)
        low = int(np.clip((float(top.min()) - float(v[0, 0])) * density - 2, 0, len(v) - 1))
        high = int(np.clip((float(bottom.max()) - float(v[0, 0])) * density + 3, low + 1, len(v)))
        v, target = v[low:high], target[low:high, reach]
        ratio = np.minimum(np.abs(u) / half, 1.0)
        below_top = v - top
        above_bottom = bottom - v
        faint = 0.62 + 0.38 * min(1.0, shape.gap / 0.03)
        between_lips = np.clip(below_top * density + 0.5, 0, 1) * np.clip(above_bottom * density + 0.5, 0, 1)
        cover = np.asarray(faint * between_lips * np.clip((half - np.abs(u)) * density, 0, 1), dtype=np.float32)

        depth = np.clip(below_top / max(shape.gap, 0.02), 0, 1)
        inside = np.multiply.outer(0.75 + 0.35 * depth, np.array(self._style.cavity, dtype=np.float32))
        if self._style.has_tongue:
            self._tongue(inside, u, below_top, above_bottom, shape, pose)
        arch = 1.0 - 0.30 * ratio**2
        length = pose.teeth * min(0.052, 0.50 * shape.gap) * arch
        place = np.abs(u) / (0.078 - 0.022 * ratio)
        between = self._style.gaps * np.exp(-((np.abs(place - np.round(place)) / 0.09) ** 2))
        enamel = (1.0 - 0.50 * ratio**2.2 - between) * (0.80 + 0.20 * np.clip(below_top / 0.035, 0, 1))
        if pose.teeth > 0:
            _lay(inside, np.clip((length - below_top) * density + 0.5, 0, 1), enamel, self._enamel)
        lower_length = pose.teeth * min(0.2 * shape.gap - 0.012, 0.030)
        if lower_length > 0:
            _lay(
                inside, np.clip((lower_length * arch - above_bottom) * density + 0.5, 0, 1), 0.80 * enamel, self._enamel
            )
        # The lips shade what lies just behind them.
        shade = (
            1.0
            - 0.45 * np.exp(-np.clip(below_top, 0, None) / 0.016)
            - 0.20 * np.exp(-np.clip(above_bottom, 0, None) / 0.012)
        )
        inside *= (self._inside_light * shade)[..., None]
        blended = target + cover[..., None] * (inside - target)
        target[...] = (blended + 0.5).astype(np.uint8)

    def _tongue(
        self, inside: Floats, u: Floats, below_top: Array, above_bottom: Array, shape: MouthShape, pose: Pose
    ) -> None:
        """Low in the mouth at rest; its tip rises to the upper teeth for l and th."""
        rest = 0.26 * shape.gap
        height = rest + pose.tongue * (0.94 * shape.gap - rest)
        wide = shape.half * (0.74 - 0.22 * pose.tongue)
        edge = height * np.sqrt(np.clip(1.0 - (u / wide) ** 2, 0.0, 1.0))
        soft = max(0.16 * shape.gap, 0.012)
        strength = float(np.clip((shape.gap - 0.04) / 0.08, 0.0, 1.0))
        cover = strength * np.clip((edge - above_bottom) / soft + 0.5, 0, 1) * (np.abs(u) < wide)
        groove = 1.0 - 0.14 * np.exp(-((u / 0.022) ** 2)) * (1.0 - pose.tongue)
        rounded = 0.62 + 0.38 * np.clip((above_bottom + 0.01) / max(height, 0.03), 0, 1)
        level = (0.5 + 0.4 * pose.tongue) * rounded * groove
        _lay(inside, cover, level, self._flesh)


def _lay(base: Floats, cover: Array, level: Array, colour: Floats) -> None:
    """Lay ``colour`` at brightness ``level`` over ``base`` in place."""
    weight = np.asarray(cover, dtype=np.float32)[..., None]
    base += weight * (np.multiply.outer(np.asarray(level, dtype=np.float32), colour) - base)


def _ramp(values: npt.ArrayLike, start: npt.ArrayLike) -> Array:
    """0 at ``start``, 1 at the chin, smooth."""
    share = np.clip((np.asarray(values) - start) / (_JAW_END - np.asarray(start)), 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share))


def _edges(face: Anatomy, shape: MouthShape, u: Floats) -> tuple[Floats, Floats]:
    """Heights of the inner edges of the upper and the lower lip."""
    ratio = np.minimum(np.abs(u) / shape.half, 1.0)
    arch = 1.0 - ratio * ratio
    line = mouth_line(face, u * np.float32(face.mouth_half / shape.half)) + shape.lift * ratio**2 + shape.corner
    bend = 0.62 - 0.16 * shape.roundness
    top = line - (0.10 * shape.gap + shape.corner) * arch**bend
    bottom = line + (0.90 * shape.gap - shape.corner) * arch ** (bend - 0.04)
    return top.astype(np.float32), bottom.astype(np.float32)


def _rest_place(face: Anatomy, shape: MouthShape, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Where the canvas points ``(u, v)`` of the moved face lie on the face at rest."""
    side = np.abs(u)
    top, bottom = _edges(face, shape, u)
    is_lower = v > 0.5 * (top + bottom)
    away = np.where(is_lower, v - bottom, top - v)
    away = np.maximum(away, 0.0)
    beyond = np.maximum(side - shape.half, 0.0)
    near = np.exp(-((away / 0.19) ** 3)) * np.exp(-((beyond / 0.16) ** 2))
    squeeze = face.mouth_half / shape.half - 1.0
    rest_u = u * (1.0 + squeeze * near * np.exp(-((side / 0.44) ** 4)))

    line = mouth_line(face, np.clip(rest_u, -face.mouth_half, face.mouth_half))
    moved = np.where(is_lower, bottom, top) - line
    share = np.clip((side - 0.12) / 0.48, 0.0, 1.0)
    start = 0.50 - (0.50 - _JAW_TOP) * share * share * (3.0 - 2.0 * share)
    jaw = shape.drop * _ramp(v, start)
    rest_v = v - (near * moved + (1.0 - near) * jaw)
    rise = rest_v - line
    rest_v = rest_v + (shape.thinning - 1.0) * rise * np.exp(-((rise / 0.11) ** 2)) * np.exp(-((beyond / 0.08) ** 2))
    return np.asarray(rest_u + 0.0 * v, dtype=np.float32), np.asarray(rest_v, dtype=np.float32)
