"""A cat and a fox: fur, a muzzle, ears on top, whiskers."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from dubflow.talkers.paint.shading import Floats, as_bytes, darken, diffuse, gloss, grain, light_colour, tint
from dubflow.talkers.paint.skin import Skin, head_surface, hollows, mouth_line
from dubflow.talkers.paint.sprites import Sprite
from dubflow.talkers.pose import Light


@dataclass(frozen=True)
class _Coat:
    """Colours of fur, and how strong its stripes are."""

    main: Colour
    pale: Colour
    dark: Colour
    stripes: float


_CATS: Final = (
    _Coat((0.80, 0.52, 0.28), (0.97, 0.90, 0.80), (0.56, 0.30, 0.14), 0.8),
    _Coat((0.55, 0.54, 0.54), (0.92, 0.91, 0.90), (0.27, 0.26, 0.27), 0.8),
    _Coat((0.30, 0.28, 0.29), (0.86, 0.85, 0.84), (0.14, 0.13, 0.14), 0.2),
    _Coat((0.62, 0.49, 0.36), (0.95, 0.90, 0.82), (0.30, 0.21, 0.14), 0.9),
    _Coat((0.90, 0.84, 0.74), (0.98, 0.96, 0.92), (0.68, 0.57, 0.45), 0.4),
)
_FOXES: Final = (
    _Coat((0.85, 0.44, 0.17), (0.98, 0.95, 0.90), (0.26, 0.15, 0.11), 0.0),
    _Coat((0.76, 0.36, 0.15), (0.97, 0.92, 0.84), (0.20, 0.12, 0.10), 0.0),
    _Coat((0.62, 0.60, 0.58), (0.97, 0.96, 0.95), (0.22, 0.21, 0.22), 0.0),
)
_IRISES: Final[tuple[Colour, ...]] = ((0.42, 0.62, 0.25), (0.82, 0.62, 0.18), (0.36, 0.58, 0.70), (0.70, 0.45, 0.16))
_NOSE_PINK: Final = (0.80, 0.46, 0.44)
_NOSE_BLACK: Final = (0.13, 0.11, 0.12)


def paint_cat(look: Look, light: Light, density: float) -> Creature:
    """A cat in somebody's clothes, its coat and eyes by the look's seed."""
    coat = _CATS[look.seed % len(_CATS)]
    wide = 0.86 + 0.10 * (look.face_width - 1.0)
    return _beast(look, coat, light, density, wide=wide, snout=0.13, ear=(0.50, -0.74, 0.58, 0.60), is_fox=False)


def paint_fox(look: Look, light: Light, density: float) -> Creature:
    """A fox in somebody's clothes."""
    coat = _FOXES[look.seed // 3 % len(_FOXES)]
    wide = 0.80 + 0.10 * (look.face_width - 1.0)
    return _beast(look, coat, light, density, wide=wide, snout=0.30, ear=(0.46, -0.78, 0.56, 0.78), is_fox=True)


def _beast(
    look: Look,
    coat: _Coat,
    light: Light,
    density: float,
    *,
    wide: float,
    snout: float,
    ear: tuple[float, float, float, float],
    is_fox: bool,
) -> Creature:
    iris = _IRISES[(look.seed // 2 + (1 if is_fox else 0)) % len(_IRISES)]
    own = look.model_copy(
        update={"skin": coat.main, "iris": iris, "lip": _scaled(coat.dark, 0.9), "hair_style": "bald", "beard": "none"}
        | {"glasses": "none", "hair_colour": coat.dark}
    )
    face = _anatomy(own, wide, snout, is_fox)
    skin = _fur(face, coat, light, density, is_fox)
    style = EyeStyle(
        iris=0.118 if not is_fox else 0.086,
        pupil=(0.20, 0.80) if not is_fox else (0.30, 0.62),
        white=(0.90, 0.90, 0.82),
        corner=0.25,
        lash=0.95,
    )
    x, y, half, high = ear
    ears = tuple(
        Attached(_ear(own, coat, light, density, side, half, high, is_fox), (side * x, y, 0.05)) for side in (-1, 1)
    )
    return Creature(
        face=face,
        skin=skin,
        mouth=MouthPainter(face, skin, light, MouthStyle(cavity=(0.22, 0.07, 0.08), tongue=(0.86, 0.47, 0.49))),
        eyes=EyePainter(face, skin, light, style),
        behind=(*ears, Attached(_ruff(face, coat, light, density), (0.0, 0.0, 0.0))),
        whiskers=_whiskers(face, look.seed, is_fox),
        whisker_colour=_scaled((0.96, 0.95, 0.92), 0.25 + 0.75 * min(1.0, light.ambient)),
    )


def _anatomy(look: Look, wide: float, snout: float, is_fox: bool) -> Anatomy:
    def form(face: Anatomy, u: npt.ArrayLike, v: npt.ArrayLike) -> Array:
        u, v = np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64)
        side = np.abs(u)
        z = snout * bump(u, v, 0, 0.42, 0.30 if not is_fox else 0.25, 0.30)
        z = z + (0.55 * snout) * bump(u, v, 0, 0.24, 0.16, 0.20)
        z = z + 0.065 * bump(side, v, 0.13, 0.40, 0.13, 0.10)  # the puffs that the whiskers grow from
        z = z + 0.050 * bump(u, v, 0, face.nose_y - 0.05, 0.10, 0.06)
        z = z - 0.070 * bump(side, v, face.eye_x - 0.01, face.eye_y, 0.20, 0.14)
        z = z + 0.045 * bump(side, v, face.eye_x, face.eye_y, 0.16, 0.10)
        z = z + 0.030 * bump(side, v, face.eye_x - 0.02, face.eye_y - 0.20, 0.20, 0.07)
        z = z + 0.055 * bump(side, v, 0.56, 0.28, 0.20, 0.22)
        z = z - 0.030 * np.exp(-(((v - mouth_line(face, np.clip(u, -0.3, 0.3))) / 0.018) ** 2)) * (side < 0.30)
        return np.asarray(z + 0.040 * bump(u, v, 0, face.chin - 0.16, 0.16, 0.09))

    eye_half = (0.196 if not is_fox else 0.166) * (0.6 + 0.4 * look.eye_size)
    return replace(
        Anatomy.of(look),
        width=wide,
        length=0.93 * (0.7 + 0.3 * look.face_length),
        squareness=2.05,
        taper=0.10 if not is_fox else 0.26,
        chin=0.94,
        eye_x=0.355 if not is_fox else 0.330,
        eye_y=-0.09,
        eye_half=eye_half,
        eye_up=(0.70 if not is_fox else 0.54) * eye_half,
        eye_down=(0.50 if not is_fox else 0.36) * eye_half,
        nose_y=0.275,
        mouth_y=0.505,
        mouth_half=0.235,
        lip_up=0.03,
        lip_down=0.035,
        brow_y=-0.30,
        form=form,
    )


def _fur(face: Anatomy, coat: _Coat, light: Light, density: float, is_fox: bool) -> Skin:
    """The fur of the head with its markings, the nose and the line of the mouth."""
    surface = head_surface(face, density)
    u, v = surface.canvas.grids()
    side, shape = np.abs(u), (v.shape[0], u.shape[1])
    rng = np.random.default_rng([face.look.seed, 0xF04])
    strands = _strands(shape, density, rng)
    # Markings have the frayed edges of fur: their places are shifted by the strands.
    frayed = v + 0.020 * strands
    albedo = np.broadcast_to(np.array(coat.main, dtype=np.float32), (*shape, 3)).copy()
    albedo = tint(albedo, coat.dark, _stripes(u, frayed, coat) if not is_fox else 0.55 * _fox_tears(face, u, frayed))
    albedo = tint(albedo, coat.pale, 0.92 * _pale(face, u, frayed, strands, is_fox))
    albedo *= (1.0 + 0.075 * strands + 0.02 * grain(shape, 0.5, rng))[..., None]
    rim = np.sqrt(((side - face.eye_x) / (1.16 * face.eye_half)) ** 2 + ((v - face.eye_y) / (1.5 * face.eye_up)) ** 2)
    albedo = tint(albedo, coat.dark, 0.80 * np.exp(-(((rim - 0.93) / 0.10) ** 2)))

    nose_top, nose = face.nose_y - 0.115, _NOSE_BLACK if is_fox or coat.stripes < 0.3 else _NOSE_PINK
    down = np.clip((v - nose_top) / 0.125, 0.0, 1.0)
    wide = 0.105 * (1.0 - 0.75 * down**1.4)
    soft = 1.5 / density
    pad = (1 - smoothstep(side - wide, -soft, soft)) * smoothstep(v, nose_top - soft, nose_top + soft) * (down < 1.0)
    holes = bump(side, v, 0.042, nose_top + 0.055, 0.020, 0.016)
    line = mouth_line(face, np.clip(u, -face.mouth_half, face.mouth_half))
    seam = np.exp(-(((v - line) / 0.011) ** 2)) * (
        1.0 - smoothstep(side, face.mouth_half - 0.03, face.mouth_half + 0.02)
    )
    cleft = np.exp(-((u / 0.010) ** 2)) * smoothstep(v, face.nose_y - 0.01, face.nose_y + 0.01) * (v < line)
    dots = _dots(u, v, density)
    albedo = darken(albedo, 0.62 * np.maximum(seam, 0.8 * cleft) + 0.35 * dots)
    albedo = tint(tint(albedo, nose, pad), _scaled(nose, 0.35), smoothstep(holes, 0.3, 0.8))

    light_in = diffuse(surface.normal, light)
    shade = 4.5 * np.clip(hollows(surface.relief, density), 0.0, 0.06)
    shade = shade + 0.20 * smoothstep(v, face.chin - 0.14, face.chin + 0.02)
    shade = shade + 0.14 * bump(u, v, 0, face.nose_y + 0.03, 0.10, 0.04)
    light_in = darken(light_in, shade)
    shine = 0.05 * gloss(surface.normal, light, 14.0) + 0.45 * pad * gloss(surface.normal, light, 30.0)
    lit = albedo * light_in + shine[..., None].astype(np.float32)
    none = np.zeros(shape, dtype=np.float32)
    return Skin(surface.canvas, as_bytes(lit), none, np.zeros((*shape, 3), np.float32), light_in.mean(axis=-1))


def _strands(shape: tuple[int, ...], density: float, rng: np.random.Generator) -> Floats:
    """Hairs that hang down, of deviation 1."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    hair = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.5, sigmaY=0.030 * density + 0.5)
    return np.asarray(hair / max(float(hair.std()), 1e-9), dtype=np.float32)


def _stripes(u: Array, v: Array, coat: _Coat) -> Array:
    """A tabby's: up the forehead, and back from the eyes over the cheeks."""
    side = np.abs(u)
    forehead = sum(
        np.exp(-(((side - at - 0.10 * (v + 0.4) * at) / (0.030 + 0.02 * (-v - 0.3))) ** 2)) for at in (0.0, 0.15, 0.31)
    )
    forehead = forehead * smoothstep(-v, 0.34, 0.46)
    cheeks = sum(np.exp(-(((v - at - 0.22 * (side - 0.5)) / 0.026) ** 2)) for at in (-0.02, 0.14, 0.31))
    cheeks = cheeks * smoothstep(side, 0.52, 0.64)
    return np.asarray(coat.stripes * np.clip(forehead + cheeks, 0.0, 1.0))


def _fox_tears(face: Anatomy, u: Array, v: Array) -> Array:
    """Dark lines from the inner corners of the eyes down to the nose."""
    path = face.eye_x - face.eye_half - 0.02 - 0.16 * (v - face.eye_y)
    stroke = np.exp(-(((np.abs(u) - path) / 0.026) ** 2))
    return np.asarray(stroke * smoothstep(v, face.eye_y - 0.02, face.eye_y + 0.03) * (1 - smoothstep(v, 0.16, 0.24)))


def _pale(face: Anatomy, u: Array, v: Array, strands: Floats, is_fox: bool) -> Array:
    """Where the fur is pale: muzzle and chin; a fox's cheeks as well, up to a line below its eyes."""
    side = np.abs(u)
    muzzle = np.sqrt((side / 0.30) ** 2 + ((v - 0.46) / 0.22) ** 2)
    chin = smoothstep(v, 0.58, 0.70) * (1.0 - smoothstep(side, 0.30, 0.42))
    pale = np.maximum(1.0 - smoothstep(muzzle + 0.05 * strands, 0.82, 1.10), chin)
    above = bump(side, v, face.eye_x - 0.03, face.eye_y - 0.23, 0.085, 0.05)
    pale = np.maximum(pale, 0.7 * smoothstep(above, 0.35, 0.75))
    if is_fox:
        line = 0.30 - 0.38 * side + 0.60 * np.clip(side - 0.5, 0, 1)
        pale = np.maximum(pale, smoothstep(v - line + 0.02 * strands, -0.03, 0.06) * smoothstep(side, 0.10, 0.22))
    return np.asarray(pale)


def _dots(u: Array, v: Array, density: float) -> Array:
    """Where the whiskers grow."""
    spots = np.zeros((v.shape[0], u.shape[1]))
    for row, at_v in enumerate((0.36, 0.41, 0.46)):
        for place in range(3):
            spots = np.maximum(spots, bump(np.abs(u), v, 0.125 + 0.055 * place + 0.015 * row, at_v, 0.011, 0.011))
    return spots


def _ear(
    look: Look, coat: _Coat, light: Light, density: float, side: int, half: float, high: float, is_fox: bool
) -> Sprite:
    """A pointed ear; ``(0, 0)`` is the middle of its base, ``side`` is -1 left, 1 right."""
    canvas = Canvas.spanning(density, -0.75, -high - 0.08, 0.75, 0.30)
    x, y = canvas.grids()
    rng = np.random.default_rng([look.seed, 0xEA5, side + 1])
    shape = (y.shape[0], x.shape[1])
    strands = _strands(shape, density, rng)
    out = side * x  # grows outwards
    up = np.clip(-y / high, -1.0, 1.0)
    middle = 0.20 * up * half  # the tip leans outwards
    width = 0.62 * half * (1.0 - np.clip(up, 0, 1) ** 1.25) + 0.10 * half * np.clip(-up, 0, 1)
    soft = 1.4 / density
    edge = np.abs(out - middle) - width + 0.006 * strands
    cover = (1.0 - smoothstep(edge, -soft, soft)) * (up < 1.0)
    inner_edge = np.abs(out - middle - 0.02) - 0.62 * width + 0.012 * strands
    inner = (
        (1.0 - smoothstep(inner_edge, -0.03, 0.03)) * smoothstep(up, -0.1, 0.12) * (1.0 - smoothstep(up, 0.72, 0.86))
    )
    colour = np.broadcast_to(np.array(coat.main, dtype=np.float32), (*shape, 3)).copy()
    if is_fox:
        colour = tint(colour, coat.dark, 0.95 * smoothstep(up + 0.03 * strands, 0.40, 0.62))
    pink = _mixed((0.86, 0.60, 0.55), coat.pale, 0.35)
    colour = tint(colour, pink, 0.9 * inner)
    tuft = smoothstep(strands, 0.2, 1.4) * inner * (1.0 - smoothstep(up, 0.25, 0.60))
    colour = tint(colour, coat.pale, 0.85 * tuft)
    colour *= (1.0 + 0.07 * strands)[..., None]
    turn = np.clip((out - middle) / np.maximum(width, 0.02), -1, 1)
    normal = np.stack([0.55 * side * turn - 0.75 * turn * inner * side, np.full(shape, -0.25), np.full(shape, 0.9)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lit = darken(colour, 0.22 * inner + 0.25 * smoothstep(y, -0.06, 0.16) * np.ones(shape)) * diffuse(
        normal.astype(np.float32), light
    )
    return Sprite(canvas, as_bytes(np.asarray(lit, dtype=np.float32)), as_bytes(np.asarray(cover, dtype=np.float32)))


def _ruff(face: Anatomy, coat: _Coat, light: Light, density: float) -> Sprite:
    """Fur that stands out beside the cheeks and beneath the chin."""
    canvas = Canvas.spanning(density, -1.30, -0.50, 1.30, 1.45)
    x, y = canvas.grids()
    rng = np.random.default_rng([face.look.seed, 0x40F])
    angle, radius = np.arctan2(y - 0.25, x), np.sqrt((x / (1.14 * face.width)) ** 2 + ((y - 0.25) / 0.86) ** 2)
    teeth = np.abs(((angle * 9.0 / np.pi) % 1.0) - 0.5) + 0.5 * np.abs(((angle * 23.0 / np.pi) % 1.0) - 0.5)
    soft = 1.4 / density
    cheek = bump(np.abs(x), y, 0.86, 0.42, 0.22, 0.26)
    edge = radius - (0.90 + 0.12 * teeth + 0.16 * cheek)
    cover = (1.0 - smoothstep(edge, -2 * soft, soft)) * smoothstep(y, -0.30, 0.0)
    strands = _strands(radius.shape, density, rng)
    colour = np.broadcast_to(np.array(coat.main, dtype=np.float32), (*radius.shape, 3)).copy()
    colour = tint(colour, coat.pale, 0.85 * smoothstep(y + 0.04 * strands - 0.25 * np.abs(x), 0.30, 0.62))
    colour *= (1.0 + 0.09 * strands)[..., None]
    shade = 0.12 + 0.42 * np.exp(-(((radius - 0.75) / 0.16) ** 2))
    side_light = 1.0 + 0.14 * np.clip(x * np.sign(light.x or -1.0), -1, 1)
    level = (0.34 * light.fill + 0.56 * light.key) * side_light * (1.0 - 0.25 * smoothstep(y, 0.7, 1.2))
    lit = darken(colour, shade) * level[..., None] * light_colour(light)
    return Sprite(canvas, as_bytes(np.asarray(lit, dtype=np.float32)), as_bytes(np.asarray(cover, dtype=np.float32)))


def _whiskers(face: Anatomy, seed: int, is_fox: bool) -> tuple[Array, ...]:
    """Curves from the muzzle outwards."""
    rng = np.random.default_rng([seed, 0x3E5])
    long = 0.62 if not is_fox else 0.42
    front = 0.98 if not is_fox else 1.08
    curves = []
    for side in (-1, 1):
        for row, at_v in enumerate((0.36, 0.41, 0.46)):
            droop, reach = 0.10 * (row - 0.6) + 0.02 * rng.standard_normal(), long * rng.uniform(0.85, 1.1)
            along = np.linspace(0.0, 1.0, 10)
            x = side * (0.19 + reach * along)
            y = at_v + droop * along + 0.10 * along**2
            z = front - 0.20 - 0.55 * along**1.5
            curves.append(np.stack([x, y, z], axis=-1))
    return tuple(curves)


def _scaled(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = ((1.0 - share) * a + share * b for a, b in zip(first, second, strict=True))
    return (red, green, blue)
