"""Glasses, and what hides a mouth: a mask, a microphone, a cup, a hand."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dubflow.talkers.look import Look
from dubflow.talkers.paint.anatomy import Anatomy, bump
from dubflow.talkers.paint.geometry import Array, Canvas, Image, seen_point, smoothstep
from dubflow.talkers.paint.shading import Floats, as_bytes, diffuse, grain, light_colour
from dubflow.talkers.paint.sprites import Sprite, lay
from dubflow.talkers.pose import Light, Pose


class GlassesPainter:
    """Draws the frame of a pair of glasses as curves in space before the eyes."""

    def __init__(self, face: Anatomy, light: Light) -> None:
        look = face.look
        turns = np.linspace(0.0, 2.0 * np.pi, 40)
        cos, sin = np.cos(turns), np.sin(turns)
        if look.glasses == "round":
            half, tall, power = 0.205, 0.185, 1.0
        elif look.glasses == "square":
            half, tall, power = 0.225, 0.155, 0.55
        else:
            half, tall, power = 0.215, 0.135, 0.75
        rim_x = half * np.sign(cos) * np.abs(cos) ** power
        rim_y = tall * np.sign(sin) * np.abs(sin) ** power
        centre_y = face.eye_y + 0.025
        self._rims = []
        for side in (-1, 1):
            x = side * (face.eye_x + 0.012) + side * rim_x
            self._rims.append(np.stack([x, centre_y + rim_y, 0.87 - 0.36 * x**2], axis=-1))
        inner = face.eye_x + 0.012 - half
        arc = np.linspace(-1.0, 1.0, 9)
        self._bridge = np.stack([inner * arc, centre_y - 0.025 - 0.03 * (1 - arc**2), 0.875 + 0 * arc], axis=-1)
        outer = face.eye_x + 0.012 + half
        self._arms = {
            side: np.array(
                [
                    (side * outer, centre_y - 0.05, 0.87 - 0.36 * outer**2),
                    (side * (face.width + 0.01), centre_y - 0.06, 0.30),
                    (side * (face.width + 0.015), centre_y - 0.03, -0.02),
                ]
            )
            for side in (-1, 1)
        }
        level = 255.0 * min(1.1, light.ambient)
        self._colour = tuple(
            float(c) for c in np.clip(np.array(look.glasses_colour) * light_colour(light) * level, 0, 255)
        )
        self._thickness = 0.016 if look.glasses == "thin" else 0.026

    def paint(self, frame: Image, pose: Pose, head: Array, unit: float, before_hair: bool) -> None:
        """The arms, which hair may cover, or the front, which it does not."""
        width = max(1, round(self._thickness * unit))
        if before_hair:
            for side in (-1, 1):
                if side * pose.yaw < 0.12:
                    self._line(frame, self._arms[side], pose, head, width)
            return
        for rim in (*self._rims, self._bridge):
            self._line(frame, rim, pose, head, width)

    def _line(self, frame: Image, points: Array, pose: Pose, head: Array, width: int) -> None:
        seen = np.array([seen_point((x, y, z), pose.yaw, pose.pitch) for x, y, z in points])
        pixels = np.round((seen @ head[:, :2].T + head[:, 2]) * 16.0).astype(np.int32)
        cv2.polylines(frame, [pixels], False, self._colour, width, cv2.LINE_AA, 4)


@dataclass(frozen=True)
class Mask:
    """A cloth mask on the canvas of the skin."""

    window: tuple[slice, slice]
    colour: Image
    cover: Image

    def lay(self, skin: Image) -> None:
        """Put it on, in place."""
        lay(skin[self.window], self.colour, self.cover)


def paint_mask(face: Anatomy, light: Light, canvas: Canvas) -> Mask:
    """A pleated mask over nose, mouth and chin, with its loops."""
    window = canvas.window(canvas.u0, -0.20, -canvas.u0, 9.0)
    u, v = canvas.grids(window)
    side = np.abs(u)
    density = canvas.density
    soft = 1.2 / density
    upper = 0.10 + 0.16 * (side / 0.5) ** 2 - 0.04 * np.exp(-((u / 0.12) ** 2))
    cover = smoothstep(v - upper, -soft, soft) * (1.0 - smoothstep(side - (0.70 - 0.10 * np.abs(v - 0.6)), -soft, soft))
    loops = np.zeros_like(cover)
    for start, end in ((0.34, 0.02), (0.80, 0.16)):
        line = start + (end - start) * np.clip((side - 0.60) / 0.26, 0, 1)
        loops = np.maximum(loops, np.exp(-(((v - line) / 0.012) ** 4)) * (side > 0.60) * (side < 0.90))
    pleats = sum(np.exp(-(((v - at) / 0.014) ** 2)) for at in (0.42, 0.58, 0.74))
    swell = 0.14 * bump(u, v, 0, 0.30, 0.14, 0.2)
    level = (0.93 + swell - 0.22 * pleats) * (1.0 - 0.42 * (side / 0.75) ** 2)
    level = level * (0.88 - 0.16 * np.clip(u * np.sign(light.x or -1.0) * -1.0, -1, 1))
    level = level * (0.35 * light.fill + 0.65 * light.key)
    blue = (
        np.array([0.62, 0.80, 0.88], dtype=np.float32)
        if face.look.seed % 2
        else np.array([0.90, 0.91, 0.92], dtype=np.float32)
    )
    picture = np.multiply.outer(level, blue) * light_colour(light)
    return Mask(
        window,
        as_bytes(np.asarray(picture, dtype=np.float32)),
        as_bytes(np.asarray(np.maximum(cover, loops), dtype=np.float32)),
    )


def paint_held(kind: str, face: Anatomy, light: Light, density: float) -> Sprite:
    """A microphone, a cup or a hand; ``(0, 0)`` of the sprite is the mouth."""
    canvas = Canvas.spanning(density, -0.75, -0.45, 0.75, 1.45)
    x, y = canvas.grids()
    painters = {"microphone": _microphone, "cup": _cup, "hand": _hand}
    colour, cover, normal = painters[kind](face.look, x, y, density)
    lit = colour * diffuse(normal, light)
    return Sprite(canvas, as_bytes(np.asarray(lit, dtype=np.float32)), as_bytes(np.asarray(cover, dtype=np.float32)))


def _microphone(look: Look, x: Array, y: Array, density: float) -> tuple[Floats, Floats, Floats]:
    """A round foam head on a stick, held from below."""
    soft = 1.2 / density
    rng = np.random.default_rng([look.seed, 0x31C])
    radius = np.sqrt((x / 0.25) ** 2 + ((y - 0.05) / 0.27) ** 2)
    ball = 1.0 - smoothstep(radius, 1.0 - 5 * soft, 1.0)
    lean = 0.16 * (y - 0.2)
    stick_half = 0.075 - 0.02 * np.clip(y - 0.3, 0, 1)
    stick = (1.0 - smoothstep(np.abs(x - lean) - stick_half, -soft, soft)) * (y > 0.1)
    cover = np.maximum(ball, stick)
    on_ball = ball[..., None]
    foam = np.float32(0.20) * (1.0 + 0.16 * grain(radius.shape, 0.7, rng))
    mesh = np.repeat(foam[..., None], 3, axis=-1) * np.array(look.clothes_trim, dtype=np.float32) * 2.2
    metal = np.full((*radius.shape, 3), 0.17, dtype=np.float32)
    ring = np.exp(-(((y - 0.36) / 0.03) ** 4))[..., None]
    metal = metal * (1.0 + 1.8 * ring)
    ball_normal = _dome(x / 0.25, (y - 0.05) / 0.27)
    turn = np.clip((x - lean) / stick_half, -1, 1)
    stick_normal = _dome(turn, 0.0 * turn)
    return metal + on_ball * (mesh - metal), cover, stick_normal + on_ball * (ball_normal - stick_normal)


def _cup(look: Look, x: Array, y: Array, density: float) -> tuple[Floats, Floats, Floats]:
    """A mug, drunk from, with the fingers that hold it."""
    soft = 1.2 / density
    half = 0.285 - 0.03 * np.clip((y + 0.16) / 0.6, 0, 1)
    rim = -0.16 + 0.035 * np.sqrt(np.clip(1 - (x / 0.30) ** 2, 0, 1)) * -1.0
    floor = 0.42 + 0.05 * np.sqrt(np.clip(1 - (x / 0.26) ** 2, 0, 1))
    body = (
        (1 - smoothstep(np.abs(x) - half, -soft, soft))
        * smoothstep(y - rim, -soft, soft)
        * (1 - smoothstep(y - floor, -soft, soft))
    )
    ring = np.sqrt(((x - 0.30) / 0.15) ** 2 + ((y - 0.12) / 0.17) ** 2)
    handle = np.exp(-(((ring - 0.85) / 0.17) ** 6)) * (x > 0.2)
    cover = np.maximum(body, handle)
    base = np.broadcast_to(np.clip(np.array(look.clothes_trim, dtype=np.float32) * 0.5 + 0.48, 0, 1), (*cover.shape, 3))
    colour = base * (1.0 - 0.25 * np.exp(-(((y - rim - 0.015) / 0.014) ** 2)))[..., None]
    stripe = np.exp(-(((y - 0.30) / 0.03) ** 6))[..., None] * body[..., None]
    colour = colour + stripe * (np.array(look.clothes, dtype=np.float32) - colour)
    normal = _dome(np.clip(x / half, -1, 1) * 0.95, 0.0 * x + 0.0 * y)
    skin = np.array(look.skin, dtype=np.float32)
    for number, at in enumerate((0.02, 0.135, 0.25)):
        reach = -0.02 + 0.03 * abs(number - 1)
        colour, cover, normal = _finger(colour, cover, normal, x, y, skin, (0.50, at), (reach, at + 0.01), 0.062, soft)
    colour, cover, normal = _arm(colour, cover, normal, x, y, look, 0.50, soft)
    palm = np.sqrt(((x - 0.50) / 0.16) ** 2 + ((y - 0.30) / 0.36) ** 2)
    return _blob(colour, cover, normal, palm, (x - 0.50) / 0.16, (y - 0.30) / 0.36, skin, soft)


def _hand(look: Look, x: Array, y: Array, density: float) -> tuple[Floats, Floats, Floats]:
    """A hand laid over the mouth: four fingers side by side, and the back of the hand."""
    soft = 1.2 / density
    skin = np.array(look.skin, dtype=np.float32)
    cover = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    colour = np.broadcast_to(skin, (*cover.shape, 3)).astype(np.float32)
    normal = _dome(0.0 * (x + y), 0.0 * (x + y))
    colour, cover, normal = _arm(colour, cover, normal, x, y, look, 0.42, soft)
    palm = np.sqrt(((x - 0.32) / 0.27) ** 2 + ((y - 0.20) / 0.29) ** 2)
    colour, cover, normal = _blob(colour, cover, normal, palm, (x - 0.32) / 0.27, (y - 0.20) / 0.29, skin, soft)
    fingers = (
        ((0.26, 0.31), (-0.26, 0.24)),
        ((0.24, 0.19), (-0.36, 0.11)),
        ((0.24, 0.06), (-0.36, -0.02)),
        ((0.25, -0.04), (-0.26, -0.14)),
    )
    for start, end in fingers:
        colour, cover, normal = _finger(colour, cover, normal, x, y, skin, start, end, 0.068, soft)
    return colour, cover, normal


def _arm(
    colour: Floats, cover: Floats, normal: Floats, x: Array, y: Array, look: Look, wrist: float, soft: float
) -> tuple[Floats, Floats, Floats]:
    """Lay a forearm in its sleeve, coming up from the lower right, over what is there."""
    away = x - wrist - 0.25 * (y - 0.5)
    thick = 0.15 + 0.09 * np.clip(y - 0.5, 0, 1)
    inside = ((1.0 - smoothstep(np.abs(away) / thick, 1.0 - 6 * soft, 1.0)) * (y > 0.30)).astype(np.float32)
    weight = inside[..., None]
    is_cloth = smoothstep(y + 0.0 * x, 0.80, 0.83)[..., None]
    skin, cloth = np.array(look.skin, dtype=np.float32), np.array(look.clothes, dtype=np.float32)
    tone = skin + is_cloth * (cloth - skin)
    across = np.clip(away / thick, -1, 1)
    dome = _dome(0.92 * across, 0.0 * across)
    return (
        np.asarray(colour + weight * (tone - colour), dtype=np.float32),
        np.maximum(cover, inside),
        np.asarray(normal + weight * (dome - normal), dtype=np.float32),
    )


def _dome(x: Array, y: Array) -> Floats:
    """Normals of a unit dome; flat outside."""
    flat = np.clip(1.0 - x * x - y * y, 0.02, 1.0)
    normal = np.stack(np.broadcast_arrays(x, y, np.sqrt(flat)), axis=-1)
    return np.asarray(normal / np.linalg.norm(normal, axis=-1, keepdims=True), dtype=np.float32)


def _blob(
    colour: Floats, cover: Floats, normal: Floats, radius: Array, x: Array, y: Array, skin: Floats, soft: float
) -> tuple[Floats, Floats, Floats]:
    """Lay a rounded piece of skin over what is there."""
    inside = (1.0 - smoothstep(radius, 1.0 - 5 * soft, 1.0)).astype(np.float32)
    weight = inside[..., None]
    dome = _dome(0.6 * x, 0.6 * y)
    return colour + weight * (skin - colour), np.maximum(cover, inside), normal + weight * (dome - normal)


def _finger(
    colour: Floats,
    cover: Floats,
    normal: Floats,
    x: Array,
    y: Array,
    skin: Floats,
    start: tuple[float, float],
    end: tuple[float, float],
    half: float,
    soft: float,
) -> tuple[Floats, Floats, Floats]:
    """Lay one finger, a capsule from ``start`` to its tip ``end``, over what is there."""
    (ax, ay), (bx, by) = start, end
    length = float(np.hypot(bx - ax, by - ay))
    dx, dy = (bx - ax) / length, (by - ay) / length
    along = (x - ax) * dx + (y - ay) * dy
    across = (x - ax) * -dy + (y - ay) * dx
    over = np.where(along > length, along - length, np.where(along < 0, along, 0.0))
    radius = np.sqrt(across**2 + over**2) / half
    inside = (1.0 - smoothstep(radius, 1.0 - 1.2 * soft / half, 1.0)).astype(np.float32)
    weight = inside[..., None]
    knuckle = 0.07 * np.exp(-(((along / length - 0.45) / 0.035) ** 2)) + 0.30 * np.clip(radius - 0.6, 0, 1)
    nail = np.exp(-((((along - length + 0.02) / 0.040) ** 2 + (across / 0.036) ** 2) ** 3))
    tone = skin * (1.0 - knuckle)[..., None] + (0.10 * nail)[..., None] * np.array([1.0, 0.75, 0.72], dtype=np.float32)
    x_normal, y_normal = across / half * -dy + over / half * dx, across / half * dx + over / half * dy
    dome = _dome(0.9 * np.clip(x_normal, -1, 1), 0.9 * np.clip(y_normal, -1, 1))
    return (
        np.asarray(colour + weight * (tone - colour), dtype=np.float32),
        np.maximum(cover, inside),
        np.asarray(normal + weight * (dome - normal), dtype=np.float32),
    )
