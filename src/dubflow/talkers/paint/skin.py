"""The skin of a head at rest, unrolled onto a canvas: form, colour, features that do not move by themselves."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dubflow.talkers.look import Colour
from dubflow.talkers.paint.anatomy import Anatomy, bump
from dubflow.talkers.paint.geometry import Array, Canvas, Image, roll_up, smoothstep
from dubflow.talkers.paint.hair import Hair
from dubflow.talkers.paint.shading import Floats, as_bytes, darken, diffuse, gloss, grain, normals, tint
from dubflow.talkers.pose import Light


@dataclass(frozen=True)
class Skin:
    """Painted skin.

    Attributes:
        canvas: what its pixels mean.
        bare: uint8 ``[H, W, 3]`` without brows, the eyes covered by lids, the mouth shut.
        brows: float32 ``[H, W]`` cover of the brows, and ``brow_colour`` lit, 0 to 255.
        lit: float32 ``[H, W]`` brightness of the light on it, for parts painted later.
    """

    canvas: Canvas
    bare: Image
    brows: Floats
    brow_colour: Floats
    lit: Floats


@dataclass(frozen=True)
class Surface:
    """The form of a head on its canvas: relief ``[H, W]`` and unit normals ``[H, W, 3]``."""

    canvas: Canvas
    relief: Array
    normal: Floats


def head_surface(face: Anatomy, density: float) -> Surface:
    """The surface of ``face`` at ``density`` pixels a unit."""
    canvas = Canvas.spanning(density, -1.34, -1.16, 1.34, 1.5)
    u, v = canvas.grids()
    inside_v = np.minimum(v, face.chin - 0.006)
    ratio = u / np.maximum(face.half_width(inside_v), 0.02)
    angle = np.clip(roll_up(ratio), -2.44, 2.44)
    relief = face.relief(u, v)
    x = face.half_width(inside_v) * np.sin(angle)
    z = face.centre_z(inside_v) + face.half_depth(inside_v) * np.cos(angle) + relief * (np.abs(angle) < 1.6)
    x, z = (cv2.GaussianBlur(field.astype(np.float32), (0, 0), 0.010 * density + 0.3) for field in (x, z))
    return Surface(canvas, relief, normals(x, z, density))


def hollows(relief: Array, density: float) -> Floats:
    """How deep each point lies in the relief around it."""
    fine = relief.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(fine, (0, 0), 0.055 * density) - fine, dtype=np.float32)


def paint_skin(face: Anatomy, light: Light, density: float, hair: Hair | None = None) -> Skin:
    """The skin of ``face`` in ``light`` at ``density`` pixels a unit, shaded by its ``hair``."""
    surface = head_surface(face, density)
    canvas, relief, normal = surface.canvas, surface.relief, surface.normal
    u, v = canvas.grids()
    rng = np.random.default_rng([face.look.seed, 0x5C1])
    albedo, lips = _colour(face, u, v, rng, density)
    light_in = diffuse(normal, light)
    light_in = darken(light_in, 5.0 * np.clip(hollows(relief, density), 0.0, 0.05) + _occlusion(face, u, v))
    if hair is not None:
        light_in = darken(light_in, _hair_shadow(hair, canvas, face, density))
    shine = 0.10 * gloss(normal, light, 22.0) * _shiny(face, u, v) + 0.16 * lips * gloss(normal, light, 46.0)
    lit = albedo * light_in + shine[..., None] * np.array([1.0, 0.97, 0.93], dtype=np.float32)
    brows = _brows(face, u, v, rng)
    brow_lit = np.array(_brow_colour(face), dtype=np.float32) * light_in
    return Skin(canvas, as_bytes(lit), brows, (255.0 * brow_lit).astype(np.float32), light_in.mean(axis=-1))


def _colour(face: Anatomy, u: Array, v: Array, rng: np.random.Generator, density: float) -> tuple[Floats, Floats]:
    """Unlit skin ``[H, W, 3]`` and the cover of the lips ``[H, W]``."""
    look = face.look
    shape = (v.shape[0], u.shape[1])
    side = np.abs(u)
    albedo = np.broadcast_to(np.array(look.skin, dtype=np.float32), (*shape, 3)).copy()
    red = 0.55 * look.blush * bump(side, v, 0.42, 0.21, 0.20, 0.15) + 0.35 * bump(
        u, v, 0, face.nose_y - 0.05, 0.13, 0.09
    )
    red = red + 0.15 * bump(u, v, 0, face.chin - 0.10, 0.2, 0.10) + 0.25 * bump(side, v, 0.86, 0.06, 0.12, 0.2)
    albedo *= 1.0 - red[..., None].astype(np.float32) * np.array([0.02, 0.16, 0.15], dtype=np.float32)
    mottle = grain(shape, 0.06 * density, rng)
    pores = grain(shape, 0.55, rng)
    albedo *= 1.0 + 0.012 * mottle[..., None] + 0.010 * pores[..., None]
    albedo = darken(albedo, 0.10 * bump(side, v, face.eye_x - 0.02, face.eye_y + 0.02, 0.19, 0.10))
    if look.freckles > 0:
        spots = smoothstep(grain(shape, 0.006 * density + 0.35, rng), 1.6, 2.3)
        where = bump(side, v, 0.27, 0.16, 0.30, 0.13)
        albedo = tint(albedo, _scaled(look.skin, 0.66, 0.50, 0.42), 0.75 * look.freckles * spots * where)
    albedo = darken(albedo, _lines(face, u, v))
    albedo = _beard(face, albedo, u, v, rng, density)
    lips = _lips(face, u, v)
    ripple = 0.03 * np.sin(u * 2 * np.pi / 0.033) * lips
    albedo = tint(albedo, look.lip, 0.85 * lips)
    upper = lips * smoothstep(face.mouth_y - v, -0.005, 0.015)
    albedo = darken(albedo, 0.10 * upper + ripple)
    # The wings and holes of the nose.
    base, wings = face.nose_y, 0.062 * look.nose_width
    holes = bump(side, v + 0.18 * (side - wings), wings, base + 0.012, 0.030 * look.nose_width, 0.0145)
    albedo = tint(albedo, _scaled(look.skin, 0.26, 0.17, 0.15), 0.90 * smoothstep(holes, 0.25, 0.85))
    return albedo, lips


def _lips(face: Anatomy, u: Array, v: Array) -> Floats:
    """Cover of the closed lips: a bow above, a fuller curve below."""
    ratio = np.clip(np.abs(u) / (1.02 * face.mouth_half), 0.0, 1.0)
    bow = (
        (1.0 - ratio**1.9) ** 0.9
        * (1.0 - 0.20 * np.exp(-((u / 0.036) ** 2)))
        * (1.0 + 0.10 * np.exp(-(((ratio - 0.27) / 0.2) ** 2)))
    )
    bowl = (1.0 - ratio**2.4) ** 0.85
    rise = v - mouth_line(face, u)
    soft = 0.012
    upper = smoothstep(rise, -face.lip_up * bow - soft, -face.lip_up * bow + soft) * (rise <= 0)
    lower = (1.0 - smoothstep(rise, face.lip_down * bowl - soft, face.lip_down * bowl + soft)) * (rise > 0)
    return np.asarray((upper + lower) * (ratio < 1.0) * smoothstep(1.0 - ratio, 0.0, 0.08), dtype=np.float32)


def mouth_line(face: Anatomy, u: Array) -> Array:
    """Height of the line between the closed lips: corners a little higher, a small dip in the middle."""
    ratio = u / face.mouth_half
    return np.asarray(
        face.mouth_y + 0.010 - 0.007 * np.cos(np.clip(np.abs(ratio) * 2.6, 0.0, np.pi)) - 0.030 * ratio**2
    )


def _occlusion(face: Anatomy, u: Array, v: Array) -> Array:
    """Light kept away: beneath the nose, the lower lip and the brows, and at the edge of the jaw."""
    side = np.abs(u)
    under_nose = 0.20 * bump(u, v, 0, face.nose_y + 0.035, 0.13, 0.035)
    under_lip = 0.16 * bump(u, v, 0, face.mouth_y + face.lip_down + 0.035, 0.15, 0.03)
    under_brow = 0.12 * bump(side, v, face.eye_x - 0.03, face.eye_y - 0.075, 0.17, 0.045)
    inner_eye = 0.12 * bump(side, v, face.eye_x - face.eye_half - 0.03, face.eye_y - 0.03, 0.05, 0.07)
    ratio = side / np.maximum(face.half_width(np.minimum(v, face.chin - 0.02)), 0.05)
    rim = 0.12 * smoothstep(ratio, 0.82, 1.10)
    below = 0.22 * smoothstep(v, face.chin - 0.10, face.chin + 0.02)
    return np.asarray(under_nose + under_lip + under_brow + inner_eye + rim + below)


def _hair_shadow(hair: Hair, canvas: Canvas, face: Anatomy, density: float) -> Floats:
    """Light that hair keeps from the skin beside and beneath it."""
    u, v = canvas.grids()
    wider = 1.0 + hair.cut.side / face.width
    columns = (u * np.float32(wider) - hair.canvas.u0) * hair.canvas.density + 0.0 * v
    rows = (v - 0.035 - hair.canvas.v0) * hair.canvas.density + 0.0 * u
    cover = cv2.remap(hair.cover, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(0.30 * cv2.GaussianBlur(cover, (0, 0), 0.035 * density), dtype=np.float32)


def _shiny(face: Anatomy, u: Array, v: Array) -> Array:
    """Where skin shines: forehead, nose, cheekbones, chin."""
    side = np.abs(u)
    nose = 1.1 * bump(u, v, 0, face.nose_y - 0.10, 0.08, 0.16)
    return np.asarray(
        0.45 + 0.5 * bump(u, v, 0, -0.42, 0.35, 0.16) + nose + 0.5 * bump(side, v, 0.40, 0.12, 0.14, 0.10)
    )


def _lines(face: Anatomy, u: Array, v: Array) -> Array:
    """Folds beside the mouth, under the eyes, on the forehead; deeper with age."""
    age, side = face.look.age, np.abs(u)
    fold_u = 0.155 + 0.42 * (v - face.nose_y + 0.03) - 0.25 * (v - face.nose_y) ** 2
    fold = (0.05 + 0.13 * age) * np.exp(-(((side - fold_u) / 0.020) ** 2)) * np.exp(-(((v - 0.45) / 0.10) ** 2))
    bag_v = face.eye_y + 0.115 - 0.9 * (side - face.eye_x) ** 2
    bag = (
        (0.04 + 0.10 * age)
        * np.exp(-(((v - bag_v) / 0.016) ** 2))
        * np.exp(-(((side - face.eye_x + 0.02) / 0.12) ** 2))
    )
    wrinkle = np.zeros_like(fold)
    for height in (-0.40, -0.49, -0.57):
        wave = height + 0.012 * np.cos(5.0 * u + 30.0 * height)
        wrinkle = wrinkle + np.exp(-(((v - wave) / 0.011) ** 2)) * np.exp(-((u / 0.36) ** 4))
    crow = np.zeros_like(fold)
    corner = face.eye_x + face.eye_half + 0.05
    for slope in (-0.45, 0.0, 0.45):
        crow = crow + np.exp(-(((v - face.eye_y - slope * (side - corner + 0.04)) / 0.009) ** 2)) * bump(
            side, 0, corner + 0.03, 0, 0.05, 1
        )
    late = float(np.clip((age - 0.45) / 0.5, 0.0, 1.0))
    return np.asarray(fold + bag + 0.10 * late * wrinkle + 0.08 * late * crow)


def _beard(face: Anatomy, albedo: Floats, u: Array, v: Array, rng: np.random.Generator, density: float) -> Floats:
    """Hair on the lower face."""
    look, side = face.look, np.abs(u)
    if look.beard == "none":
        return albedo
    shape = (v.shape[0], u.shape[1])
    lip_top = face.mouth_y - face.lip_up
    droop = 0.5 * (face.nose_y + lip_top) + 0.010 + 0.10 * (side / 0.25) ** 2
    thick = 0.040 * np.clip(1.0 - (side / 0.31) ** 2, 0.05, 1.0)
    upper = np.exp(-(((v - droop) / thick) ** 4)) * (1.0 - smoothstep(side, 0.22, 0.30))
    cheek_line = 0.20 + 0.55 * np.clip(0.80 - side, 0.0, 1.0) ** 1.1
    lower = smoothstep(v, cheek_line, cheek_line + 0.10)
    mouth_gap = np.sqrt((u / (face.mouth_half + 0.075)) ** 2 + ((v - face.mouth_y - 0.01) / 0.155) ** 2)
    lower = lower * smoothstep(mouth_gap, 0.85, 1.15)
    chin = bump(u, v, 0, face.chin - 0.13, 0.21, 0.17)
    cover = {
        "stubble": 0.42 * np.maximum(lower, upper),
        "moustache": 0.95 * upper,
        "goatee": 0.92 * np.maximum(upper, smoothstep(chin, 0.30, 0.75) * smoothstep(mouth_gap, 0.7, 1.0)),
        "full": 0.95 * np.maximum(lower, upper),
    }[look.beard]
    strands = cv2.GaussianBlur(
        rng.standard_normal(shape, dtype=np.float32), (0, 0), sigmaX=0.45, sigmaY=0.020 * density + 0.4
    )
    strands /= strands.std()
    if look.beard == "stubble":
        cover = cover * smoothstep(grain(shape, 0.5, rng), -0.9, 1.1)
    colour = np.array(look.hair_colour, dtype=np.float32) * np.clip(0.80 + 0.16 * strands, 0.3, 1.4)[..., None]
    weight = np.asarray(np.clip(cover, 0, 1), dtype=np.float32)[..., None]
    return np.asarray(albedo + weight * (colour - albedo), dtype=np.float32)


def _brows(face: Anatomy, u: Array, v: Array, rng: np.random.Generator) -> Floats:
    """Cover of the brows: combed outwards, thick inside, thin outside."""
    look, side = face.look, np.abs(u)
    along = (side - face.eye_x) / 0.205
    arch = (
        face.brow_y
        + 0.012
        - (0.016 + 0.030 * look.brow_arch) * np.exp(-(((along - 0.25) / 0.75) ** 2))
        + 0.020 * smoothstep(along, 0.3, 1.1)
    )
    thick = 0.034 * look.brow_thickness * (1.0 - 0.62 * smoothstep(along, -0.1, 1.05))
    body = (
        np.exp(-(np.abs((v - arch) / thick) ** 2.6))
        * smoothstep(along, -0.98, -0.72)
        * (1.0 - smoothstep(along, 0.80, 1.08))
    )
    hairs = 0.80 + 0.20 * np.sin(2 * np.pi * (side * 42.0 + (v - arch) * 26.0) + 2.0 * rng.random())
    return np.asarray(np.clip(0.92 * body * hairs, 0.0, 1.0), dtype=np.float32)


def _brow_colour(face: Anatomy) -> Colour:
    """Brows are darker than fair hair and lighter than black hair beside skin."""
    red, green, blue = (
        0.62 * hair + 0.13 * skin for hair, skin in zip(face.look.hair_colour, face.look.skin, strict=True)
    )
    return (red, green, blue)


def _scaled(colour: Colour, red: float, green: float, blue: float) -> Colour:
    return (colour[0] * red, colour[1] * green, colour[2] * blue)
