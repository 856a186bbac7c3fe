"""A robot: painted plates, rivets, a hinged jaw, lamps for eyes, an antenna."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from dubflow.talkers.look import Colour, Look
from dubflow.talkers.paint.anatomy import Anatomy, bump
from dubflow.talkers.paint.creature import Attached, Creature
from dubflow.talkers.paint.geometry import Array, Canvas, Image, smoothstep
from dubflow.talkers.paint.mouth import MouthPainter, MouthStyle
from dubflow.talkers.paint.shading import Floats, as_bytes, darken, diffuse, gloss, grain, light_colour, tint
from dubflow.talkers.paint.skin import Skin, head_surface, hollows, mouth_line
from dubflow.talkers.paint.sprites import Sprite
from dubflow.talkers.pose import Light, Pose

_LAMPS: Final[tuple[Colour, ...]] = ((0.35, 0.90, 1.0), (1.0, 0.72, 0.25), (0.45, 1.0, 0.55), (1.0, 0.42, 0.36))
_STEEL: Final = (0.62, 0.64, 0.67)
_LAMP: Final = 0.125
_JAW: Final = 0.36  # height of the seam above the jaw plate at the sides


def paint_robot(look: Look, light: Light, density: float) -> Creature:
    """A robot in the colours of somebody's clothes."""
    lamp = _LAMPS[look.seed % len(_LAMPS)]
    paint = tuple(min(1.0, 0.30 + 0.70 * part) for part in look.clothes_trim)
    own = look.model_copy(
        update={"skin": _STEEL, "lip": (0.16, 0.16, 0.18), "hair_style": "bald", "beard": "none", "glasses": "none"}
        | {"iris": lamp, "collar": "turtleneck", "clothes": tuple(0.5 * part + 0.12 for part in paint)}
    )
    face = _anatomy(own)
    skin = _plates(face, (paint[0], paint[1], paint[2]), light, density)
    glow = tuple(0.16 + 0.55 * part for part in lamp)
    style = MouthStyle(
        cavity=(0.45 * glow[0], 0.45 * glow[1], 0.45 * glow[2]), enamel=(0.80, 0.82, 0.85), has_tongue=False, gaps=0.75
    )
    disc = {side: _ear(own, (paint[0], paint[1], paint[2]), light, density, side) for side in (-1, 1)}
    return Creature(
        face=face,
        skin=skin,
        mouth=MouthPainter(face, skin, light, style),
        eyes=LampPainter(face, skin, light, lamp),
        ears=disc,
        behind=(Attached(_antenna(lamp, light, density), (0.0, -1.04, 0.0)),),
    )


class LampPainter:
    """Eyes that are lamps in a dark visor: the bright core looks about, a shutter blinks, bars above are the brows."""

    def __init__(self, face: Anatomy, skin: Skin, light: Light, colour: Colour) -> None:
        canvas = skin.canvas
        self._face, self._density = face, float(canvas.density)
        self._band = canvas.window(-0.66, face.brow_y - 0.16, 0.66, face.eye_y + 0.24)
        self._base = skin.bare[self._band].astype(np.float32)
        self._u, self._v = canvas.grids(self._band)
        self._colour = 255.0 * np.array(colour, dtype=np.float32)
        self._shutter = (
            255.0 * np.array(_STEEL, np.float32) * (0.25 + 0.6 * min(1.0, light.ambient)) * light_colour(light)
        )

    def paint(self, target: Image, pose: Pose) -> None:
        """Repaint lamps and bars on ``target`` (the whole canvas, uint8)."""
        face, density = self._face, self._density
        side = np.abs(self._u)
        x, y = side - face.eye_x, self._v - face.eye_y
        radius = np.sqrt(x * x + y * y)
        band = self._base.copy()
        core_x = self._u - np.sign(self._u) * face.eye_x - 0.045 * pose.gaze_x
        core = np.sqrt(core_x**2 + (y - 0.035 * pose.gaze_y) ** 2)
        level = 0.42 + 0.30 * np.exp(-((core / 0.085) ** 2))
        lamp = np.multiply.outer(level.astype(np.float32), self._colour)
        heart = np.clip((0.052 - core) * density + 0.5, 0, 1)[..., None]
        lamp += heart * (0.35 * self._colour + 165.0 - lamp)
        lid = -_LAMP + pose.blink * 2 * _LAMP
        open_ = np.clip((y - lid) * density + 0.5, 0, 1)
        slats = 1.0 - 0.22 * np.exp(-(((((y + _LAMP) / 0.055) % 1.0 - 0.5) / 0.16) ** 2))
        shutter = np.multiply.outer((slats * (0.9 - 0.5 * (y + _LAMP))).astype(np.float32)[:, 0], self._shutter)
        inside = np.clip((_LAMP - radius) * density + 0.5, 0, 1)[..., None]
        band += inside * (open_[..., None] * lamp + (1 - open_[..., None]) * shutter[:, None, :] - band)
        # Light that falls on the visor around an open lamp.
        halo = 0.30 * (1.0 - pose.blink) * np.exp(-np.clip(radius - _LAMP, 0, None) / 0.05) * (radius > _LAMP)
        band += halo[..., None] * self._colour
        tilt = -0.30 * pose.brow_frown * (0.5 - x / 0.26)
        bar_y = face.brow_y - 0.055 * pose.brow_raise - 0.16 * tilt
        bar = np.exp(-(((self._v - bar_y) / 0.021) ** 6)) * (1 - np.clip((np.abs(x) - 0.13) * density + 0.5, 0, 1))
        band += (0.9 * bar)[..., None] * (0.75 * self._colour + 20.0 - band)
        target[self._band] = np.clip(band + 0.5, 0, 255).astype(np.uint8)


def _anatomy(look: Look) -> Anatomy:
    eye_half = 0.15
    return replace(
        Anatomy.of(look),
        width=0.74 + 0.2 * (look.face_width - 1.0),
        length=0.98,
        squareness=5.5,
        taper=0.04,
        chin=1.0,
        eye_x=0.315,
        eye_y=-0.10,
        eye_half=eye_half,
        eye_up=0.12,
        eye_down=0.12,
        nose_y=0.30,
        mouth_y=0.60,
        mouth_half=0.30,
        lip_up=0.035,
        lip_down=0.035,
        brow_y=-0.335,
        crown=4.2,
        form=_form,
    )


def _form(face: Anatomy, u: npt.ArrayLike, v: npt.ArrayLike) -> Array:
    u, v = np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64)
    side = np.abs(u)
    z = -0.050 * _plate(side, v, 0.0, -0.10, 0.60, 0.19, 0.03)  # the visor lies deeper
    z = z + 0.045 * _plate(side, v, 0.0, 0.62, 0.44, 0.20, 0.03)  # the plate around the mouth stands out
    z = z + 0.060 * _plate(side, v, 0.0, 0.235, 0.10, 0.09, 0.03)
    z = z + 0.035 * _plate(side, v, 0.0, -0.80, 0.10, 0.34, 0.03)
    z = z + 0.030 * bump(side, v, 0.60, 0.30, 0.05, 0.05) + 0.030 * bump(side, v, 0.60, 0.84, 0.05, 0.05)
    seam = np.exp(-(((v - _seam(u)) / 0.014) ** 2))
    return np.asarray(z - 0.030 * seam)


def _seam(u: Array) -> Array:
    """Height of the seam between the head and the jaw plate."""
    return np.asarray(_JAW + 0.035 * smoothstep(0.50 - np.abs(u), 0.0, 0.10))


def _plate(side: Array, v: Array, at_u: float, at_v: float, half: float, tall: float, soft: float) -> Array:
    """A raised rectangle with soft edges."""
    across, down = np.abs(side - at_u) - half, np.abs(v - at_v) - tall
    return np.asarray((1 - smoothstep(across, -soft, soft)) * (1 - smoothstep(down, -soft, soft)))


def _plates(face: Anatomy, paint: Colour, light: Light, density: float) -> Skin:
    """The painted head: plates, seams, rivets, the visor and the gasket around the mouth."""
    surface = head_surface(face, density)
    u, v = surface.canvas.grids()
    side, shape = np.abs(u), (v.shape[0], u.shape[1])
    rng = np.random.default_rng([face.look.seed, 0x0B0])
    normal = surface.normal
    steel = np.array(_STEEL, dtype=np.float32)
    albedo = np.broadcast_to(np.array(paint, dtype=np.float32), (*shape, 3)).copy()
    albedo = tint(albedo, _STEEL, _plate(side, v, 0.0, 0.62, 0.44, 0.20, 0.012))
    albedo = tint(albedo, _STEEL, _plate(side, v, 0.0, -0.80, 0.085, 0.34, 0.010))
    albedo = tint(albedo, (0.07, 0.08, 0.10), _plate(side, v, 0.0, -0.10, 0.60, 0.19, 0.012))
    albedo *= (1.0 + 0.012 * grain(shape, 0.6, rng) + 0.03 * grain(shape, 0.10 * density, rng))[..., None]
    # Bare metal shows where paint has gone: along the seams, and in a few scratches.
    worn = smoothstep(grain(shape, 0.02 * density + 0.4, rng), 0.8, 1.6)
    seam = np.exp(-(((v - _seam(u)) / 0.05) ** 2))
    albedo += (0.7 * worn * seam)[..., None].astype(np.float32) * (steel - albedo)
    line = np.exp(-(((v - _seam(u)) / 0.012) ** 2))
    line = np.maximum(line, np.exp(-(((side - 0.66) / 0.010) ** 2)) * (v < _JAW))
    line = np.maximum(line, np.exp(-(((v + 0.52) / 0.010) ** 2)) * (side > 0.10) * (side < 0.66))
    albedo = darken(albedo, 0.72 * line)
    rivets = np.zeros(shape)
    for at_u, at_v in (
        (0.60, 0.30),
        (0.60, 0.84),
        (0.58, -0.44),
        (0.20, -0.60),
        (0.58, -0.60),
        (0.38, 0.79),
        (0.38, 0.46),
    ):
        radius = np.sqrt((side - at_u) ** 2 + (v - at_v) ** 2)
        rivets = np.maximum(rivets, 1.0 - smoothstep(radius, 0.022, 0.030))
        albedo = darken(albedo, 0.40 * np.exp(-(((radius - 0.034) / 0.010) ** 2)))
    albedo = tint(albedo, (0.80, 0.81, 0.83), 0.8 * rivets)
    mouth = mouth_line(face, np.clip(u, -face.mouth_half, face.mouth_half))
    ends = 1.0 - smoothstep(side, face.mouth_half - 0.02, face.mouth_half + 0.03)
    gasket = np.exp(-(((v - mouth) / 0.034) ** 4)) * ends
    albedo = tint(albedo, (0.14, 0.14, 0.16), 0.92 * gasket)
    albedo = darken(albedo, 0.6 * np.exp(-(((v - mouth) / 0.008) ** 2)) * ends)
    grille = _plate(side, v, 0.0, 0.235, 0.075, 0.07, 0.008) * (0.5 + 0.5 * np.sign(np.sin(2 * np.pi * v / 0.045)))
    albedo = darken(albedo, 0.65 * grille)
    light_in = diffuse(normal, light)
    light_in = darken(light_in, 5.0 * np.clip(hollows(surface.relief, density), 0.0, 0.05))
    light_in = darken(light_in, 0.22 * smoothstep(v, face.chin - 0.08, face.chin + 0.02) * np.ones(shape))
    visor = _plate(side, v, 0.0, -0.10, 0.60, 0.19, 0.012)
    # A room mirrored in lacquer: bright above, dark below, with the lamp's own spot.
    sky = 0.10 * smoothstep(-normal[..., 1], 0.05, 0.45) + 0.06 * np.exp(-(((normal[..., 0] + 0.55) / 0.10) ** 2))
    shine = 0.34 * gloss(normal, light, 40.0) + 0.14 * gloss(normal, light, 9.0) + sky * light.ambient
    streak = 0.16 * visor * np.exp(-(((u + 0.35 * v - 0.12) / 0.10) ** 2)) * light.ambient
    lit = albedo * light_in + ((1.0 - 0.6 * gasket) * shine + streak)[..., None] * light_colour(light)
    none = np.zeros(shape, dtype=np.float32)
    lit = _bezels(face, np.asarray(lit, dtype=np.float32), side, v, light)
    return Skin(surface.canvas, as_bytes(lit), none, np.zeros((*shape, 3), np.float32), light_in.mean(axis=-1))


def _bezels(face: Anatomy, lit: Floats, side: Array, v: Array, light: Light) -> Floats:
    """Steel rings around the lamps."""
    radius = np.sqrt((side - face.eye_x) ** 2 + (v - face.eye_y) ** 2)
    ring = np.exp(-(((radius - _LAMP - 0.024) / 0.020) ** 4))
    turned = 0.62 - 0.9 * (v - face.eye_y) - 0.4 * (side - face.eye_x) * np.sign(light.x or -1.0)
    level = turned * (0.3 * light.fill + 0.7 * light.key)
    tone = np.multiply.outer(np.clip(level, 0.15, 1.0), np.array(_STEEL, dtype=np.float32) * 1.1) * light_colour(light)
    return np.asarray(lit + ring[..., None] * (tone - lit), dtype=np.float32)


def _ear(look: Look, paint: Colour, light: Light, density: float, side: int) -> Sprite:
    """A round hinge with a bolt; its inner edge, at ``u = 0``, joins the head."""
    canvas = Canvas.spanning(density, -0.12, -0.30, 0.24, 0.30)
    x, y = canvas.grids()
    shape = (y.shape[0], x.shape[1])
    soft = 1.2 / density
    drum = (1.0 - smoothstep(np.abs(y) - 0.20, -soft, soft)) * (1.0 - smoothstep(x - 0.075, -soft, soft))
    cap = (1.0 - smoothstep(np.abs(y) - 0.13, -soft, soft)) * (1.0 - smoothstep(x - 0.135, -soft, soft))
    cover = np.maximum(drum, cap)
    turn = np.clip(y / 0.21, -1, 1)
    level = (0.40 + 0.55 * np.sqrt(1 - 0.9 * turn**2) - 0.18 * turn) * (1.0 if side * light.x > 0 else 0.78)
    level = level * (0.3 * light.fill + 0.7 * light.key)
    tone = np.broadcast_to(np.array(paint, np.float32), (*shape, 3))
    tone = tone + (cap * (x > 0.075))[..., None] * (np.array(_STEEL, np.float32) - tone)
    tone = darken(np.asarray(tone, dtype=np.float32), 0.4 * np.exp(-(((x - 0.075) / 0.012) ** 2)) * np.ones(shape))
    lit = tone * level[..., None] * light_colour(light)
    return Sprite(canvas, as_bytes(np.asarray(lit, dtype=np.float32)), as_bytes(np.asarray(cover, dtype=np.float32)))


def _antenna(lamp: Colour, light: Light, density: float) -> Sprite:
    """A rod with a small lamp; ``(0, 0)`` is its foot."""
    canvas = Canvas.spanning(density, -0.25, -0.42, 0.25, 0.15)
    x, y = canvas.grids()
    shape = (y.shape[0], x.shape[1])
    soft = 1.2 / density
    rod = (1.0 - smoothstep(np.abs(x) - 0.022, -soft, soft)) * (y > -0.28) * np.ones(shape)
    foot = (1.0 - smoothstep(np.abs(x) - 0.10 - 0.3 * np.clip(y + 0.02, 0, 1), -soft, soft)) * (y > -0.05)
    radius = np.sqrt((x / 0.068) ** 2 + ((y + 0.30) / 0.068) ** 2)
    ball = 1.0 - smoothstep(radius, 1.0 - 8 * soft, 1.0 + 8 * soft)
    glow = 0.45 * np.exp(-np.clip(radius - 1.0, 0, None) / 0.6) * (radius > 1.0)
    metal = np.array(_STEEL, np.float32) * (0.3 * light.fill + 0.7 * light.key) * light_colour(light)
    level = 0.55 + 0.45 * np.clip(1.0 - np.abs(x + 0.01) / 0.10, 0, 1)
    picture = np.multiply.outer(level * np.ones(shape), metal)
    bulb = (
        np.multiply.outer(0.75 + 0.5 * np.clip(1 - radius, 0, 1), np.array(lamp, np.float32))
        + 0.25 * (np.exp(-(((x + 0.02) ** 2 + (y + 0.325) ** 2) / 0.0006))[..., None])
    )
    weight = np.maximum(ball, glow)[..., None]
    picture = picture + weight * (bulb - picture)
    cover = np.clip(np.maximum(np.maximum(rod, foot), np.maximum(ball, glow)), 0, 1)
    return Sprite(
        canvas, as_bytes(np.asarray(picture, dtype=np.float32)), as_bytes(np.asarray(cover, dtype=np.float32))
    )
