"""Hair as a second shell around the head: cut, flow of the strands, light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from dubflow.talkers.look import HairStyle, Look
from dubflow.talkers.paint.anatomy import TOP, Anatomy
from dubflow.talkers.paint.geometry import Array, Canvas, Image, Loft, roll_up, smoothstep
from dubflow.talkers.paint.shading import Floats, as_bytes, diffuse, grain, normals
from dubflow.talkers.pose import Light

_ROWS: Final = 52
_OPENING_V: Final = 0.05


@dataclass(frozen=True)
class Cut:
    """A hair style in head units.

    Attributes:
        top, side: how far the shell stands off the skull above and beside it.
        length: height at which the hair ends at the back and sides.
        line: height of the hairline in the middle of the forehead; recess: how much higher it is at the temples.
        window: half width of the opening for the face; sideburn: where the hair before the ears ends.
        curl: strength of curls; wave: strength of waves; fringe: hair swept over the forehead.
        flare: how much wider the hair is at its end.
    """

    top: float
    side: float
    length: float
    line: float = -0.64
    recess: float = 0.0
    window: float = 0.64
    sideburn: float = 0.10
    curl: float = 0.0
    wave: float = 0.0
    fringe: float = 0.0
    flare: float = 0.0

    @property
    def shows_ears(self) -> bool:
        """Whether the ears stand out of the hair."""
        return self.side < 0.08

    @property
    def is_long(self) -> bool:
        """Whether hair hangs behind the neck."""
        return self.length > 0.5


_CUTS: Final[dict[HairStyle, Cut]] = {
    "short": Cut(0.14, 0.045, 0.42, line=-0.74, fringe=0.10),
    "crop": Cut(0.060, 0.03, 0.40, line=-0.70, recess=0.03),
    "quiff": Cut(0.26, 0.040, 0.40, line=-0.74, recess=0.05),
    "bob": Cut(0.14, 0.14, 0.86, line=-0.58, window=0.60, sideburn=2.0, fringe=0.10, flare=0.05),
    "long": Cut(0.12, 0.12, 1.75, line=-0.70, window=0.585, sideburn=2.0, fringe=0.16, flare=0.10),
    "wavy": Cut(0.15, 0.17, 1.45, line=-0.66, window=0.60, sideburn=2.0, wave=1.0, fringe=0.14, flare=0.10),
    "bun": Cut(0.06, 0.025, 0.40, line=-0.74, recess=0.02, sideburn=0.02),
    "curly": Cut(0.26, 0.20, 0.62, line=-0.58, window=0.66, sideburn=0.35, curl=1.0),
    "afro": Cut(0.40, 0.36, 0.48, line=-0.60, window=0.67, sideburn=0.16, curl=0.8),
    "receding": Cut(0.045, 0.025, 0.40, line=-0.88, recess=0.14),
    "bald": Cut(0.020, 0.018, 0.40, line=-1.6, recess=0.0, window=0.70),
}


@dataclass(frozen=True)
class Hair:
    """Painted hair: its surface, canvas, colours uint8 ``[H, W, 3]`` and cover float32 ``[H, W]`` 0 to 1."""

    cut: Cut
    loft: Loft
    canvas: Canvas
    colour: Image
    cover: Floats


def cut_of(look: Look) -> Cut:
    """The cut of a look's style; men wear curls and waves shorter."""
    cut = _CUTS[look.hair_style]
    if look.presentation == "masculine" and look.hair_style == "wavy":
        return Cut(0.17, 0.11, 0.62, line=-0.64, window=0.63, sideburn=0.30, wave=0.9, fringe=0.12)
    if look.presentation == "masculine" and look.hair_style == "curly":
        return Cut(0.22, 0.10, 0.40, line=-0.58, sideburn=0.08, curl=1.0)
    return cut


def paint_hair(face: Anatomy, light: Light, density: float) -> Hair | None:
    """The hair of ``face``; None for a head without any."""
    look = face.look
    if look.hair_style == "bald" and look.age < 0.45:
        return None
    cut = cut_of(look)
    rng = np.random.default_rng([look.seed, 0x4A12])
    loft = _loft(face, cut, rng)
    edge = float(np.abs(loft.u).max()) + 0.02
    canvas = Canvas.spanning(density, -edge, TOP - cut.top, edge, max(cut.length + 0.12, 0.5))
    u, v = canvas.grids()
    half = _half_width(face, cut, v)
    angle = np.clip(roll_up(u / np.maximum(half, 0.03)), -2.44, 2.44)
    x = half * np.sin(angle)
    z = (0.80 + 0.5 * cut.side) * _vertical(cut, v) * np.cos(angle)
    across, along = _flow(look, cut, u, v, rng)
    strands = _strands(across, along, rng)
    if cut.curl > 0:
        curls = grain((canvas.height, canvas.width), 0.030 * density, rng) + 0.6 * grain(
            (canvas.height, canvas.width), 0.014 * density, rng
        )
        z = z + 0.016 * cut.curl * curls
        strands = 0.35 * strands + 0.45 * curls
    else:
        z = z + 0.006 * cv2.GaussianBlur(strands, (0, 0), 0.012 * density)
    normal = normals(x.astype(np.float32), z.astype(np.float32), density)
    light_in = diffuse(normal, light)
    shine = _sheen(look, cut, u, along, strands) * light.key
    base = np.array(look.hair_colour, dtype=np.float32)
    colour = base * (0.80 + 0.15 * strands)[..., None] * light_in * 1.12
    colour += (shine[..., None] * (0.55 * base + 0.16)).astype(np.float32)
    cover = _cover(face, cut, u, v, strands, rng)
    return Hair(cut, loft, canvas, as_bytes(colour), cover)


def _half_width(face: Anatomy, cut: Cut, v: npt.ArrayLike) -> Array:
    """Half width of the shell: the skull's, and straight down from the cheekbones."""
    v = np.asarray(v, dtype=np.float64)
    flare = cut.flare * smoothstep(v, 0.1, cut.length)
    tuck = 0.05 * smoothstep(v, 0.0, 0.45) * (0.0 if cut.is_long else 1.0)
    end = cut.length + 0.10
    closing = np.sqrt(np.clip(1.0 - np.clip((v - (end - 0.30)) / 0.30, 0.0, 1.0) ** 3, 0.0, 1.0))
    return np.asarray((face.width + cut.side + flare - tuck) * _vertical(cut, v) * (0.55 + 0.45 * closing))


def _vertical(cut: Cut, v: npt.ArrayLike) -> Array:
    """1 below the temples, closing over the crown."""
    up = np.clip(np.asarray(v, dtype=np.float64) / (TOP - cut.top), 0.0, 1.0)
    return np.asarray(np.sqrt(np.clip(1.0 - up**2.75, 0.0, 1.0)))


def _loft(face: Anatomy, cut: Cut, rng: np.random.Generator) -> Loft:
    share = np.linspace(0.0, 1.0, _ROWS)
    top, end = TOP - cut.top, cut.length + 0.10
    v = top + (end - top) * (0.5 * share + 0.5 * (1.0 - np.cos(np.pi * share)) / 2.0)
    half = _half_width(face, cut, v)
    depth = (0.80 + 0.5 * cut.side) * _vertical(cut, v)
    loft = Loft.build(v, half, np.zeros_like(v), depth, columns=49)
    rough = 0.035 * cut.curl * (1.0 + cut.side)
    ripple = rough * grain((_ROWS, 49), 0.8, rng) if rough else np.zeros((_ROWS, 49))
    swing = 0.03 * cut.wave * np.sin(9.0 * v)[:, None] * smoothstep(v, -0.3, 0.5)[:, None]
    factor = 1.0 + ripple + swing
    return Loft(loft.v, loft.angles, loft.x * factor, loft.z, loft.u)


def _flow(look: Look, cut: Cut, u: Array, v: Array, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Across and along the strands: they leave the parting and run down."""
    part = 0.0 if look.hair_style in ("bun", "quiff", "afro", "bald") else 0.20 * look.hair_side
    root_v = TOP - cut.top - 0.10 if look.hair_style != "quiff" else TOP - 0.55
    away_u, away_v = u - part * np.exp(-((v + 1.0) ** 2)), v - root_v
    along = np.sqrt(away_u**2 + away_v**2)
    across = np.arctan2(away_u, np.maximum(away_v, 1e-3) + 0.25 * along)
    wave = 0.055 * cut.wave * np.sin(9.0 * along + 2.5 * np.sin(3.0 * across) + rng.uniform(0, 6))
    return np.asarray(across + wave, dtype=np.float32), np.asarray(along, dtype=np.float32)


def _strands(across: Floats, along: Floats, rng: np.random.Generator) -> Floats:
    """Streaks along the flow, of three widths: deviation about 1."""
    total = np.zeros_like(across)
    for width, stretch, weight in ((22.0, 0.8, 0.45), (64.0, 1.4, 0.8), (150.0, 2.0, 0.7)):
        noise = grain((64, 512), 0.9, rng)
        place_x = np.mod(across * np.float32(width) + 256.0, 511.0).astype(np.float32)
        place_y = np.mod(along * np.float32(stretch) * 4.0, 63.0).astype(np.float32)
        total += np.float32(weight) * cv2.remap(
            noise, place_x, place_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
    return np.asarray(total / max(float(total.std()), 1e-6), dtype=np.float32)


def _sheen(look: Look, cut: Cut, u: Array, along: Floats, strands: Floats) -> Floats:
    """The band of light that straight hair shows around the crown."""
    band = np.exp(-(((along - 0.46 - 0.10 * np.abs(u)) / 0.13) ** 2)) + 0.35 * np.exp(-(((along - 1.15) / 0.22) ** 2))
    broken = np.clip(0.65 + 0.45 * strands, 0.0, 1.6)
    strength = 0.34 * (1.0 - 0.75 * cut.curl) * (0.8 if look.age > 0.7 else 1.0)
    return np.asarray(strength * band * broken * (0.75 - 0.35 * np.clip(u, -1, 1)), dtype=np.float32)


def _cover(face: Anatomy, cut: Cut, u: Array, v: Array, strands: Floats, rng: np.random.Generator) -> Floats:
    """Where there is hair: above the hairline, beside the face, behind the ears; ragged at its edges."""
    look, side = face.look, np.abs(u)
    ragged = 0.020 * strands + (0.05 * cut.curl * grain(strands.shape, 4.0, rng) if cut.curl else 0.0)
    sweep = cut.fringe * smoothstep(-look.hair_side * u, -0.25, 0.55) * (1.0 - 0.7 * smoothstep(np.abs(u), 0.50, 0.62))
    hairline = cut.line + sweep - cut.recess * np.exp(-(((side - 0.38) / 0.17) ** 2))
    # The face looks out of an oval opening: an ellipse above the cheekbones, straight down below.
    wide = cut.window + 0.05 * smoothstep(v, -0.45, 0.1) - 0.02 * smoothstep(v, 0.3, 0.9)
    up = np.clip((_OPENING_V - v) / (_OPENING_V - hairline), 0.0, 3.0)
    opening = (np.clip(side / wide, 0.0, 3.0) ** 2.6 + up**2.6) ** (1 / 2.6)
    soft = 0.045 if cut.is_long or cut.fringe > 0.1 else 0.075
    around = smoothstep(opening + ragged, 1.0 - soft, 1.0 + soft)
    ear = face.width + 0.06
    end = cut.sideburn + (cut.length - cut.sideburn) * smoothstep(side, ear + 0.06, ear + 0.16)
    if cut.is_long and cut.sideburn >= 2.0:
        end = np.full_like(side, cut.length)
    before_end = 1.0 - smoothstep(v - end + 1.6 * ragged, -0.06, 0.04)
    return np.asarray(around * before_end, dtype=np.float32)
