"""Flat parts that are placed whole: the upper body, ears, a bun, and things held before the mouth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dubflow.talkers.paint.anatomy import Anatomy, bump
from dubflow.talkers.paint.geometry import Array, Canvas, Image, smoothstep
from dubflow.talkers.paint.shading import Floats, as_bytes, darken, diffuse, grain, light_colour
from dubflow.talkers.pose import Light


@dataclass(frozen=True)
class Sprite:
    """A flat picture in head units: colours uint8 ``[H, W, 3]`` and cover uint8 ``[H, W]``."""

    canvas: Canvas
    colour: Image
    cover: Image


def lay_sprite(frame: Image, sprite: Sprite, to_frame: Array) -> None:
    """Lay ``sprite`` over ``frame`` in place; ``to_frame`` ``[2, 3]`` takes head units to pixel coordinates."""
    canvas = sprite.canvas
    to_units = np.array([[1 / canvas.density, 0, canvas.u0], [0, 1 / canvas.density, canvas.v0], [0, 0, 1]])
    matrix = to_frame @ to_units
    corners = np.array([[0, 0], [canvas.width, 0], [0, canvas.height], [canvas.width, canvas.height]])
    seen = corners @ matrix[:, :2].T + matrix[:, 2]
    height, width = frame.shape[:2]
    x0, y0 = np.maximum(np.floor(seen.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(seen.max(axis=0)).astype(int) + 1, (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    local = matrix.copy()
    local[:, 2] -= (x0, y0)
    size = (int(x1 - x0), int(y1 - y0))
    colour = cv2.warpAffine(sprite.colour, local, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(sprite.cover, local, size, flags=cv2.INTER_LINEAR)
    lay(frame[y0:y1, x0:x1], colour, cover)


def lay(target: Image, colour: Image, cover: Image) -> None:
    """Lay ``colour`` with ``cover`` (uint8) over ``target`` in place."""
    weight = cover.astype(np.float32) * np.float32(1 / 255)
    target[...] = cv2.blendLinear(colour, np.ascontiguousarray(target), weight, 1 - weight)


def paint_body(face: Anatomy, light: Light, density: float) -> Sprite:
    """Neck, shoulders and clothes."""
    look = face.look
    canvas = Canvas.spanning(density, -2.4, 0.35, 2.4, 2.5)
    x, y = canvas.grids()
    shape = (canvas.height, canvas.width)
    rng = np.random.default_rng([look.seed, 0xB0D])
    broad = 1.0 if look.presentation == "masculine" else 0.86
    neck_half = (0.43 if look.presentation == "masculine" else 0.36) * look.face_width
    side = np.abs(x)
    soft = 1.2 / density
    reach = neck_half + 0.02 * np.cos(4.0 * (y - 0.7))
    out = np.clip((side - neck_half + 0.02) / (1.36 * broad - neck_half), 0.0, 1.0)
    shoulder = 0.98 + 0.20 * out**0.42 + 0.16 * out**1.5 + 0.60 * np.clip((out - 0.86) / 0.14, 0.0, 1.0) ** 2.5
    beyond = (side < 1.36 * broad) | (y > 2.0)
    cover = np.maximum(1.0 - smoothstep(side - reach, -soft, soft), smoothstep(y - shoulder, -soft, soft) * beyond)
    # Roundness: the neck is a cylinder, the chest a broad one.
    neck_turn = np.clip(x / (neck_half * 1.06), -1, 1)
    chest_turn = np.clip(x / (1.7 * broad), -1, 1)
    turn = neck_turn + smoothstep(y - 0.25 * side, 0.95, 1.30) * (chest_turn - neck_turn)
    lean = -0.35 * smoothstep(y, 1.15, 1.45) + 0.12
    normal = np.stack(
        [0.92 * turn, np.broadcast_to(lean, shape), np.sqrt(np.clip(1.02 - (0.92 * turn) ** 2, 0.05, 1))], -1
    )
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light_in = diffuse(normal.astype(np.float32), light)
    skin = np.broadcast_to(np.array(look.skin, dtype=np.float32), (*shape, 3)) * 0.96
    shadow = (
        0.46 * np.exp(-(((y - 0.80) / 0.34) ** 4)) * (1.0 - 0.25 * smoothstep(-x * np.sign(light.x or -1.0), -0.2, 0.4))
    )
    bones = 0.10 * bump(side, y, 0.20 + 0.6 * (y - 1.36), 1.38, 0.05, 0.07) - 0.08 * bump(x, y, 0, 1.42, 0.05, 0.05)
    sinew = 0.07 * np.exp(-(((side - 0.26 + 0.35 * (y - 0.95)) / 0.03) ** 2)) * bump(0 * x, y, 0, 1.15, 1, 0.2)
    skin = darken(np.asarray(skin, dtype=np.float32), shadow + bones + sinew)
    cloth_cover, cloth = _clothes(face, x, y, neck_half, rng, density)
    picture = tint_picture(skin, cloth, cloth_cover) * light_in
    return Sprite(canvas, as_bytes(picture), as_bytes(np.broadcast_to(cover, shape)))


def tint_picture(base: Floats, over: Floats, cover: Array) -> Floats:
    """``over`` laid upon ``base`` with ``cover`` ``[H, W]``."""
    return np.asarray(base + cover[..., None].astype(np.float32) * (over - base), dtype=np.float32)


def _clothes(
    face: Anatomy, x: Array, y: Array, neck_half: float, rng: np.random.Generator, density: float
) -> tuple[Floats, Floats]:
    """Cover and unlit colours of the clothes."""
    look, side = face.look, np.abs(x)
    shape = (y.shape[0], x.shape[1])
    soft = 1.2 / density
    weave = 0.02 * grain(shape, 0.5, rng)
    folds = cv2.GaussianBlur(
        rng.standard_normal(shape, dtype=np.float32), (0, 0), sigmaX=0.05 * density, sigmaY=0.22 * density
    )
    folds = 0.07 * folds / folds.std()
    seam = 0.18 * np.exp(-(((side - 1.12 - 0.08 * (y - 1.5)) / 0.012) ** 2)) * (y > 1.45)
    cloth = (
        np.broadcast_to(np.array(look.clothes, dtype=np.float32), (*shape, 3)) * (1.0 + weave + folds - seam)[..., None]
    )
    trim = np.array(look.clothes_trim, dtype=np.float32)
    round_neck = 1.20 + 0.26 * np.sqrt(np.clip(1.0 - (side / (neck_half + 0.16)) ** 2, 0, 1))
    round_neck = np.where(side < neck_half + 0.16, round_neck, 1.0)
    if look.collar == "vneck":
        edge = np.where(side < neck_half + 0.16, 1.16 + 0.75 * np.clip(neck_half + 0.16 - side, 0, 1), 1.0)
    elif look.collar == "turtleneck":
        edge = 0.98 + 0.05 * np.sqrt(np.clip(1.0 - (side / (neck_half + 0.1)) ** 2, 0, 1))
    elif look.collar == "shirt":
        edge = np.where(side < neck_half + 0.10, 1.10 + 0.95 * np.clip(neck_half + 0.06 - side, 0, 1), 1.0)
    else:
        edge = round_neck
    cover = smoothstep(y - edge, -soft, soft)
    band = np.asarray(np.exp(-(((y - edge - 0.035) / 0.035) ** 4)), dtype=np.float32)
    cloth = np.asarray(cloth, dtype=np.float32)
    if look.collar in ("crew", "vneck"):
        cloth = darken(cloth, 0.16 * band)
        cloth = darken(cloth, 0.22 * np.exp(-(((y - edge - 0.078) / 0.010) ** 2)))
    elif look.collar == "turtleneck":
        ribs = 0.10 * np.sin(2 * np.pi * x / 0.055) * (1.0 - smoothstep(y, 1.26, 1.34))
        cloth = darken(cloth, 0.06 + ribs + 0.25 * np.exp(-(((y - 1.30 - 0.10 * side**2) / 0.03) ** 2)))
    elif look.collar == "shirt":
        wing = _collar_wing(side, y, neck_half, soft)
        cloth = darken(cloth, 0.30 * np.exp(-((x / 0.012) ** 2)) * (y > 1.5))
        under = darken(cloth, 0.40 * cv2.GaussianBlur(wing, (0, 0), 0.035 * density))
        cloth = tint_picture(
            under, np.asarray(cloth * 0.55 + 0.45 * np.minimum(1.0, cloth + 0.18), dtype=np.float32), wing
        )
        cover = np.maximum(cover, wing)
    else:
        roll = bump(side, y, neck_half + 0.10, 1.20, 0.17, 0.15)
        hood = smoothstep(roll, 0.45, 0.55)
        cloth = tint_picture(cloth, np.asarray(cloth * (0.72 + 0.45 * roll)[..., None], dtype=np.float32), hood)
        cover = np.maximum(cover, hood)
        for string in (-0.16, 0.16):
            line = np.exp(-(((x - string - 0.03 * np.sin(5 * y)) / 0.016) ** 4)) * (y > 1.42) * (y < 1.95)
            cloth = tint_picture(cloth, np.broadcast_to(np.float32(0.6) * trim + 0.35, (*shape, 3)), line)
    if look.collar in ("crew", "turtleneck") and look.seed % 3 == 0:
        stripe = smoothstep(np.sin(2 * np.pi * (y + 0.08 * side**2) / 0.24), 0.2, 0.4) * smoothstep(y, 1.5, 1.52)
        cloth = tint_picture(cloth, np.broadcast_to(trim, (*shape, 3)), 0.8 * stripe)
    return np.asarray(cover, dtype=np.float32), cloth


def _collar_wing(side: Array, y: Array, neck_half: float, soft: float) -> Floats:
    """The two wings of a shirt collar."""
    outer = neck_half + 0.10
    upper = 1.06 + 0.85 * np.clip(outer - side, 0, 1)
    lower = 1.36 + 0.38 * np.clip(outer - side, 0, 1)
    point = 0.06
    inside = smoothstep(y - upper, -soft, soft) * (1 - smoothstep(y - lower, -soft, soft))
    return np.asarray(
        inside * smoothstep(side - point, -soft, soft) * (1 - smoothstep(side - outer - 0.05, -soft, soft)),
        dtype=np.float32,
    )


def paint_ear(face: Anatomy, light: Light, density: float, side: int) -> Sprite:
    """One ear; its inner edge, at ``u = 0``, joins the head; ``side`` is -1 left, 1 right."""
    size = face.look.ear_size
    canvas = Canvas.spanning(density, -0.10, -0.34, 0.26, 0.34)
    x, y = canvas.grids()
    x, y = x / size, y / size
    centre = 0.045 + 0.035 * np.clip(-y / 0.2, -1, 1)
    wide = 0.115 - 0.035 * smoothstep(y, -0.02, 0.22)
    radius = np.sqrt(((x - centre) / wide) ** 2 + (y / 0.225) ** 2)
    soft = 1.2 / (density * 0.1)
    cover = 1.0 - smoothstep(radius, 1.0 - soft, 1.0 + soft)
    helix = np.exp(-(((radius - 0.84) / 0.13) ** 2))
    hollow = np.exp(-((np.sqrt(((x - 0.025) / 0.055) ** 2 + ((y - 0.02) / 0.10) ** 2) / 0.9) ** 3))
    fold = np.exp(-(((radius - 0.55) / 0.12) ** 2)) * (y < 0.08)
    lit_side = 1.0 if side * light.x > 0 else 0.74
    level = (0.74 + 0.14 * helix + 0.06 * fold - 0.30 * hollow) * lit_side * (0.3 * light.fill + 0.7 * light.key + 0.1)
    colour = np.array(face.look.skin, dtype=np.float32) * np.array([1.0, 0.90, 0.88], dtype=np.float32)
    picture = np.multiply.outer(level, colour) * light_colour(light)
    join = smoothstep(x, -0.075, -0.035)
    return Sprite(
        canvas, as_bytes(np.asarray(picture, dtype=np.float32)), as_bytes(np.asarray(cover * join, dtype=np.float32))
    )


def paint_bun(face: Anatomy, light: Light, density: float) -> Sprite:
    """A bun on top of the head."""
    canvas = Canvas.spanning(density, -0.42, -0.36, 0.42, 0.36)
    x, y = canvas.grids()
    rng = np.random.default_rng([face.look.seed, 0xB1])
    radius = np.sqrt((x / 0.36) ** 2 + (y / 0.29) ** 2)
    height = np.sqrt(np.clip(1.02 - radius**2, 0.02, 1))
    normal = np.stack(np.broadcast_arrays(x / 0.36, y / 0.29, height), axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    swirl = np.sin(26.0 * (np.arctan2(y, x) * 0.35 + 1.1 * radius)) + 0.6 * grain(radius.shape, 0.8, rng)
    colour = np.array(face.look.hair_colour, dtype=np.float32) * (0.86 + 0.10 * swirl)[..., None]
    picture = colour * diffuse(normal.astype(np.float32), light) * 1.12
    soft = 1.2 / (density * 0.3)
    cover = 1.0 - smoothstep(radius, 0.97 - soft, 1.0)
    return Sprite(
        canvas, as_bytes(np.asarray(picture, dtype=np.float32)), as_bytes(np.asarray(cover, dtype=np.float32))
    )
