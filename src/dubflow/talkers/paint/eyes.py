"""Brows, lids and eyeballs, painted onto the canvas of the skin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from dubflow.talkers.paint.anatomy import Anatomy, bump
from dubflow.talkers.paint.geometry import Image
from dubflow.talkers.paint.shading import Floats, light_colour
from dubflow.talkers.paint.skin import Skin
from dubflow.talkers.pose import Light, Pose

_SIDES: Final = (-1.0, 1.0)


@dataclass(frozen=True)
class EyeStyle:
    """What eyes are made of; the defaults are a human being's.

    Attributes:
        iris: its radius in head units. pupil: its half width and half height as parts of the iris.
        white: colour of the eyeball, lit. corner: how red its inner corner is. lash: how dark the rim of the upper lid.
    """

    iris: float = 0.066
    pupil: tuple[float, float] = (0.45, 0.45)
    white: tuple[float, float, float] = (0.97, 0.95, 0.93)
    corner: float = 1.0
    lash: float = 0.88


HUMAN_EYES: Final = EyeStyle()


class EyePainter:
    """Paints the upper face of one skin in any pose."""

    def __init__(self, face: Anatomy, skin: Skin, light: Light, style: EyeStyle = HUMAN_EYES) -> None:
        canvas = skin.canvas
        self._face, self._skin, self._light, self._style = face, skin, light, style
        self._band = canvas.window(-0.62, face.brow_y - 0.18, 0.62, face.eye_y + 0.17)
        u, v = canvas.grids(self._band)
        side = np.abs(u)
        self._base = skin.bare[self._band].astype(np.float32)
        around = np.exp(-(((v - face.brow_y) / 0.11) ** 4))
        self._raise_v = (around * (0.75 + 0.25 * np.clip(side / 0.5, 0, 1))).astype(np.float32)
        inner = np.exp(-((side / 0.26) ** 2))
        self._frown_v = (around * (inner - 0.25)).astype(np.float32)
        self._frown_u = (around * inner * np.sign(u) + 0.0 * v).astype(np.float32)
        crease = bump(side, v, 0.045, face.brow_y + 0.02, 0.016, 0.07)
        self._frown_shade = (0.22 * crease).astype(np.float32)
        shape = self._base.shape[:2]
        density = np.float32(canvas.density)
        rows = np.arange(shape[0], dtype=np.float32)[:, None]
        columns = np.arange(shape[1], dtype=np.float32)[None, :]
        self._map_u, self._map_v = np.broadcast_to(columns, shape).copy(), np.broadcast_to(rows, shape).copy()
        self._density = density
        self._brows = np.ascontiguousarray(skin.brows[self._band])
        self._brow_colour = skin.brow_colour[self._band]

        reach = face.eye_half + 0.055
        self._windows = []
        grids = []
        for sign in _SIDES:
            middle = sign * face.eye_x
            rows_window, columns_window = canvas.window(
                middle - reach, face.eye_y - face.eye_up - 0.085, middle + reach, face.eye_y + face.eye_down + 0.05
            )
            start = columns_window.start
            self._windows.append((rows_window, slice(start, start + round(2 * reach * canvas.density))))
            grids.append(canvas.grids(self._windows[-1]))
        # Both eyes at once: across points outwards from the nose, so one formula serves left and right.
        self._x = np.stack([grid_u[0] - sign * face.eye_x for sign, (grid_u, _) in zip(_SIDES, grids, strict=True)])[
            :, None, :
        ]
        self._across = self._x * np.array(_SIDES, dtype=np.float32)[:, None, None] / np.float32(face.eye_half)
        self._y = np.stack([grid_v - face.eye_y for _, grid_v in grids])
        self._y = self._y + np.float32(0.016 * face.look.eye_tilt) * self._across
        arch = np.clip(1.0 - np.abs(self._across + 0.08) ** 2.3, 0.0, 1.0) * (np.abs(self._across) < 1.0)
        sag = np.clip(1.0 - np.abs(self._across - 0.10) ** 2.0, 0.0, 1.0) * (np.abs(self._across) < 1.0)
        ends = np.clip(1.0 - self._across**8, 0.0, 1.0)
        self._upper = (-face.eye_up * arch**0.78 * ends).astype(np.float32)
        self._lower = (face.eye_down * sag**0.85 * ends).astype(np.float32)
        lit = float(np.median(skin.lit[self._band]))
        self._level = (min(1.0, 0.15 + 0.95 * lit) * light_colour(light) * 255.0).astype(np.float32)

    def paint(self, target: Image, pose: Pose) -> None:
        """Repaint brows and eyes on ``target`` (the whole canvas, uint8)."""
        band = self._brow_band(pose)
        target[self._band] = band
        self._eyes(target, pose)

    def _brow_band(self, pose: Pose) -> Image:
        density = self._density
        move_v = (0.062 * density * pose.brow_raise) * self._raise_v - (
            0.040 * density * pose.brow_frown
        ) * self._frown_v
        place_v = self._map_v + move_v
        place_u = self._map_u + (0.028 * density * pose.brow_frown) * self._frown_u
        cover = cv2.remap(self._brows, place_u, place_v, cv2.INTER_LINEAR)
        band = self._base + cover[..., None] * (self._brow_colour - self._base)
        if pose.brow_frown > 0:
            band *= (1.0 - pose.brow_frown * self._frown_shade)[..., None]
        return np.asarray(band + 0.5, dtype=np.uint8)

    def _eyes(self, target: Image, pose: Pose) -> None:
        face, density = self._face, float(self._density)
        lid_follow = 0.020 * pose.gaze_y - 0.008 * pose.brow_raise + 0.006 * pose.brow_frown
        open_upper = np.minimum(self._upper * (1.0 - lid_follow / face.eye_up), self._lower)
        shut = 0.80 * self._lower
        upper = open_upper + pose.blink * (shut - open_upper)
        lower = self._lower + pose.blink * 0.2 * (shut - self._lower)
        below_lid = self._y - upper
        cover = np.clip(below_lid * density + 0.5, 0, 1) * np.clip((lower - self._y) * density + 0.5, 0, 1)
        cover = cover * (np.abs(self._across) < 1.0) * np.clip((lower - upper) * density, 0, 1)
        ball = self._eyeball(below_lid, pose)
        skin = np.stack([target[window] for window in self._windows]).astype(np.float32)
        open_share = 1.0 - pose.blink
        inside = np.clip((1.04 - np.abs(self._across)) * 12.0, 0, 1)
        crease = (
            np.exp(-(((self._y - self._upper * 1.12 + 0.030) / 0.011) ** 2)) * np.clip(1 - self._across**2, 0, 1) ** 0.5
        )
        rim = np.exp(-(((self._y - lower - 0.008) / 0.009) ** 2)) * inside
        fold = np.exp(-(((self._y - self._upper * 0.6 + 0.005) / 0.03) ** 2)) * inside
        skin *= (1.0 - 0.26 * (0.35 + 0.65 * open_share) * crease - 0.12 * rim + 0.05 * pose.blink * fold)[..., None]
        mixed = skin + cover[..., None] * (ball - skin)
        feminine = face.look.presentation == "feminine"
        thickness = (0.0125 if feminine else 0.0095) * (1.0 + 0.35 * np.clip(self._across, -1, 1))
        lash = np.exp(-(((self._y - upper + 0.004) / thickness) ** 2)) * inside
        if feminine:
            flick = np.exp(-(((self._y + 0.10 * (self._across - 0.85)) / 0.010) ** 2)) * np.clip(
                1 - ((self._across - 1.02) / 0.17) ** 2, 0, 1
            )
            lash = np.maximum(lash, 0.75 * flick)
        lashes = np.array([0.16, 0.10, 0.08], dtype=np.float32) * self._level
        mixed += (self._style.lash * lash).astype(np.float32)[..., None] * (lashes - mixed)
        patches = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
        for window, patch in zip(self._windows, patches, strict=True):
            target[window] = patch

    def _eyeball(self, below_lid: Floats, pose: Pose) -> Floats:
        """White, iris, pupil, and the light reflected in them: float32 ``[2, H, W, 3]``, 0 to 255."""
        face, style = self._face, self._style
        density = float(self._density)
        middle_y = -0.010 - 0.10 * face.eye_up + 0.026 * pose.gaze_y
        x = self._x - np.float32(0.058 * pose.gaze_x)
        y = self._y - np.float32(middle_y)
        radius = np.sqrt(x * x + y * y)
        white = 0.93 - 0.30 * self._across**2 * np.abs(self._across)
        shade = 0.58 + 0.42 * np.clip(below_lid / 0.045, 0, 1)
        ball = np.multiply.outer(white * shade, np.array(style.white, dtype=np.float32)).astype(np.float32)
        corner = style.corner * np.exp(-(((self._across + 1.0) / 0.16) ** 2))
        ball += corner[..., None] * (np.array([0.74, 0.46, 0.43], dtype=np.float32) - ball)
        iris = np.clip((style.iris - radius) * density + 0.5, 0, 1)
        glow = 0.75 + 0.55 * np.clip(y / style.iris, -0.6, 1.0) + 0.20 * (radius / style.iris)
        ring = 1.0 - 0.55 * np.exp(-(((radius - style.iris) / 0.011) ** 2))
        level = (glow * ring * (0.55 + 0.45 * np.clip(below_lid / 0.04, 0, 1))).astype(np.float32)
        colour = np.multiply.outer(level, np.array(face.look.iris, dtype=np.float32) * 1.05 + 0.02)
        ball += iris[..., None].astype(np.float32) * (colour - ball)
        pupil = self._pupil(x, y, radius)
        ball *= (1.0 - 0.93 * pupil)[..., None].astype(np.float32)
        ball *= self._level
        spark_x, spark_y = 0.026 * np.sign(self._light.x or -1.0), -0.026
        spark = np.exp(-((((x - spark_x) ** 2 + (y - spark_y) ** 2) / 0.0135**2) ** 2))
        faint = 0.25 * np.exp(-((((x + spark_x) ** 2 + (y + 0.9 * spark_y) ** 2) / 0.012**2) ** 1))
        glint = np.maximum(spark, faint) * min(1.0, 0.35 + 0.65 * self._light.key)
        ball += glint[..., None].astype(np.float32) * (250.0 - ball)
        return ball

    def _pupil(self, x: Floats, y: Floats, radius: Floats) -> Floats:
        """Cover of the pupil: round, or an ellipse."""
        wide, high = self._style.pupil
        density, iris = float(self._density), self._style.iris
        if wide == high:
            return np.asarray(np.clip((wide * iris - radius) * density + 0.5, 0, 1))
        least = min(wide, high) * iris
        ellipse = least * np.sqrt((x / (wide * iris)) ** 2 + (y / (high * iris)) ** 2)
        return np.asarray(np.clip((least - ellipse) * density + 0.5, 0, 1), dtype=np.float32)
