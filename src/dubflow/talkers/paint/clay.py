"""A clay figure: one soft colour with the marks of fingers, ball eyes, a lump for a nose, a curl on top."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from dubflow.talkers.look import Colour, Look
from dubflow.talkers.paint.anatomy import Anatomy, bump
from dubflow.talkers.paint.creature import Attached, Creature
from dubflow.talkers.paint.eyes import EyePainter, EyeStyle
from dubflow.talkers.paint.geometry import Array, Canvas, smoothstep
from dubflow.talkers.paint.mouth import MouthPainter, MouthStyle
from dubflow.talkers.paint.shading import Floats, as_bytes, darken, diffuse, gloss, grain, tint
from dubflow.talkers.paint.skin import Skin, head_surface, hollows, mouth_line
from dubflow.talkers.paint.sprites import Sprite, paint_ear
from dubflow.talkers.pose import Light

_CLAYS: Final[tuple[Colour, ...]] = (
    (0.84, 0.48, 0.34),
    (0.45, 0.66, 0.45),
    (0.42, 0.56, 0.78),
    (0.86, 0.70, 0.36),
    (0.72, 0.50, 0.70),
    (0.88, 0.62, 0.58),
)


def paint_clay(look: Look, light: Light, density: float) -> Creature:
    """A clay figure in somebody's clothes, its colour by the look's seed."""
    clay = _CLAYS[look.seed % len(_CLAYS)]
    other = (look.seed + 1 + look.seed // 2 % (len(_CLAYS) - 1)) % len(_CLAYS)  # never the head's own
    curl = _CLAYS[other] if look.seed % 4 else (0.30, 0.22, 0.20)
    dark = (0.55 * clay[0], 0.42 * clay[1], 0.42 * clay[2])
    own = look.model_copy(
        update={"skin": clay, "lip": dark, "iris": (0.10, 0.09, 0.10), "hair_style": "bald", "beard": "none"}
        | {"glasses": "none", "hair_colour": curl, "presentation": "masculine"}  # no lashes on balls of clay
    )
    face = _anatomy(own)
    skin = _paint(face, light, density)
    style = EyeStyle(iris=0.062, pupil=(0.9, 0.9), white=(0.98, 0.98, 0.96), corner=0.0, lash=0.45)
    return Creature(
        face=face,
        skin=skin,
        mouth=MouthPainter(
            face, skin, light, MouthStyle(cavity=(0.24, 0.06, 0.07), tongue=(0.90, 0.42, 0.42), gaps=0.0)
        ),
        eyes=EyePainter(face, skin, light, style),
        ears={side: paint_ear(face, light, density, side) for side in (-1, 1)},
        behind=(Attached(_curl(own, light, density), (0.04 * look.hair_side, -0.98, 0.0)),),
    )


def _anatomy(look: Look) -> Anatomy:
    eye_half = 0.165
    return replace(
        Anatomy.of(look),
        width=0.76 * (0.5 + 0.5 * look.face_width),
        length=0.96 * (0.6 + 0.4 * look.face_length),
        squareness=2.7,
        taper=-0.02,
        chin=0.98,
        eye_x=0.235,
        eye_y=-0.16,
        eye_half=eye_half,
        eye_up=0.88 * eye_half,
        eye_down=0.74 * eye_half,
        nose_y=0.24,
        mouth_y=0.52,
        mouth_half=0.34,
        lip_up=0.03,
        lip_down=0.04,
        brow_y=-0.42,
        form=_form,
    )


def _form(face: Anatomy, u: npt.ArrayLike, v: npt.ArrayLike) -> Array:
    u, v = np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64)
    side = np.abs(u)
    z = 0.26 * bump(u, v, 0, 0.115, 0.125, 0.115)
    z = z + 0.10 * bump(side, v, face.eye_x, face.eye_y, 0.15, 0.13)
    z = z - 0.030 * np.exp(-(((np.hypot(side - face.eye_x, v - face.eye_y) - 0.185) / 0.03) ** 2))
    z = z + 0.050 * bump(side, v, 0.50, 0.26, 0.17, 0.15)
    line = mouth_line(face, np.clip(u, -face.mouth_half, face.mouth_half))
    share = np.clip(1.0 - (u / (1.08 * face.mouth_half)) ** 2, 0.0, 1.0)
    z = (
        z
        + 0.030 * np.exp(-(((v - line - 0.05) / 0.05) ** 2)) * share
        + 0.02 * np.exp(-(((v - line + 0.04) / 0.04) ** 2)) * share
    )
    z = z - 0.035 * np.exp(-(((v - line) / 0.016) ** 2)) * share**0.4
    return np.asarray(z + 0.040 * bump(u, v, 0, 0.84, 0.20, 0.10))


def _paint(face: Anatomy, light: Light, density: float) -> Skin:
    """The head: smooth clay with dents and the ridges of fingertips."""
    surface = head_surface(face, density)
    u, v = surface.canvas.grids()
    side, shape = np.abs(u), (v.shape[0], u.shape[1])
    rng = np.random.default_rng([face.look.seed, 0xC1A])
    normal = _kneaded(surface.normal, u, v, density, rng)
    albedo = np.broadcast_to(np.array(face.look.skin, dtype=np.float32), (*shape, 3)).copy()
    albedo *= (1.0 + 0.018 * grain(shape, 0.05 * density, rng) + 0.008 * grain(shape, 0.5, rng))[..., None]
    cheeks = bump(side, v, 0.47, 0.24, 0.13, 0.11)
    albedo = tint(albedo, (0.88, 0.40, 0.38), 0.35 * smoothstep(cheeks, 0.25, 0.75))
    line = mouth_line(face, np.clip(u, -face.mouth_half, face.mouth_half))
    ends = 1.0 - smoothstep(side, face.mouth_half - 0.02, face.mouth_half + 0.03)
    lips = np.exp(-(((v - line - 0.012) / 0.040) ** 4)) * ends
    albedo = tint(albedo, face.look.lip, 0.62 * lips)
    albedo = darken(albedo, 0.55 * np.exp(-(((v - line) / 0.010) ** 2)) * ends)
    light_in = diffuse(normal, light)
    shade = 4.0 * np.clip(hollows(surface.relief, density), 0.0, 0.06)
    shade = shade + 0.16 * bump(u, v, 0, 0.265, 0.14, 0.04) + 0.22 * smoothstep(v, face.chin - 0.12, face.chin + 0.02)
    light_in = darken(light_in, shade)
    shine = 0.10 * gloss(normal, light, 12.0) + 0.10 * gloss(normal, light, 50.0)
    lit = albedo * light_in + shine[..., None].astype(np.float32)
    brow_lit = np.array(face.look.hair_colour, dtype=np.float32) * light_in
    brows = _brows(face, side, v)
    return Skin(surface.canvas, as_bytes(lit), brows, (255.0 * brow_lit).astype(np.float32), light_in.mean(axis=-1))


def _kneaded(normal: Floats, u: Array, v: Array, density: float, rng: np.random.Generator) -> Floats:
    """Normals with shallow dents, and the ridges that fingertips leave in some places."""
    shape = normal.shape[:2]
    dents = 0.035 * grain(shape, 0.055 * density, rng)
    ridges = np.zeros(shape, dtype=np.float32)
    for _ in range(6):
        at_u, at_v, turn = rng.uniform(-0.65, 0.65), rng.uniform(-0.85, 0.85), rng.uniform(0.0, np.pi)
        across = (u - at_u) * np.cos(turn) + (v - at_v) * np.sin(turn) + 1.6 * ((u - at_u) ** 2 + (v - at_v) ** 2)
        ridges += 0.0028 * np.sin(2 * np.pi * across / 0.030).astype(np.float32) * bump(u, v, at_u, at_v, 0.11, 0.13)
    height = cv2.GaussianBlur((dents * 0.16 + ridges).astype(np.float32), (0, 0), 0.45)
    slope_v, slope_u = np.gradient(height, 1.0 / density)
    bent = normal.astype(np.float32).copy()
    bent[..., 0] -= slope_u
    bent[..., 1] -= slope_v
    return np.asarray(bent / np.linalg.norm(bent, axis=-1, keepdims=True), dtype=np.float32)


def _brows(face: Anatomy, side: Array, v: Array) -> Floats:
    """Two rolls of clay."""
    along = (side - face.eye_x) / 0.15
    arch = face.brow_y - 0.030 * (1.0 - along**2)
    thick = 0.036 * np.sqrt(np.clip(1.0 - along**4, 0.0, 1.0)) + 1e-4
    return np.asarray(0.96 * np.exp(-(((v - arch) / thick) ** 6)) * (np.abs(along) < 1.0), dtype=np.float32)


def _curl(look: Look, light: Light, density: float) -> Sprite:
    """A rolled-up strand of clay; ``(0, 0)`` lies within the head."""
    canvas = Canvas.spanning(density, -0.50, -0.42, 0.50, 0.30)
    x, y = canvas.grids()
    shape = (y.shape[0], x.shape[1])
    colour = np.broadcast_to(np.array(look.hair_colour, dtype=np.float32), (*shape, 3))
    cover = np.zeros(shape)
    picture = np.zeros((*shape, 3), dtype=np.float32)
    soft = 1.2 / density
    # Lumps along a spiral, each over the one before.
    for turn in np.linspace(0.0, 1.0, 26):
        angle, reach = 0.9 * np.pi + look.hair_side * 3.3 * np.pi * turn, 0.27 * (1.0 - 0.80 * turn)
        at_x, at_y, size = reach * np.cos(angle), -0.12 + 0.75 * reach * np.sin(angle), 0.085
        ball_x, ball_y = (x - at_x) / size, (y - at_y) / size
        radius = np.sqrt(ball_x**2 + ball_y**2)
        normal = np.stack(
            np.broadcast_arrays(0.9 * ball_x, 0.9 * ball_y, np.sqrt(np.clip(1.05 - radius**2, 0.03, 1.0))), axis=-1
        )
        normal = (normal / np.linalg.norm(normal, axis=-1, keepdims=True)).astype(np.float32)
        inside = 1.0 - smoothstep(radius, 1.0 - 9 * soft, 1.0 + 2 * soft)
        lit = colour * diffuse(normal, light) * (0.72 + 0.28 * smoothstep(1 - radius, 0.0, 0.3))[..., None]
        picture = (picture + inside[..., None] * (lit + 0.06 * gloss(normal, light, 20.0)[..., None] - picture)).astype(
            np.float32
        )
        cover = np.maximum(cover, inside)
    return Sprite(canvas, as_bytes(picture), as_bytes(np.asarray(cover, dtype=np.float32)))
