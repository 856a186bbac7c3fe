"""Where the parts of a face are, from a look: outline, relief and the places of eyes, nose and mouth (head units)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from dubflow.talkers.look import Look
from dubflow.talkers.paint.geometry import Array, Loft, smoothstep

TOP: Final = -1.12
ROWS: Final = 68


def bump(
    u: npt.ArrayLike, v: npt.ArrayLike, at_u: npt.ArrayLike, at_v: npt.ArrayLike, wide: float, high: float
) -> Array:
    """A smooth hill of height 1 around a point."""
    return np.asarray(
        np.exp(-(((np.asarray(u) - np.asarray(at_u)) / wide) ** 2))
        * np.exp(-(((np.asarray(v) - np.asarray(at_v)) / high) ** 2))
    )


class Form(Protocol):
    """A relief: height over the smooth head at canvas points that broadcast."""

    def __call__(self, face: Anatomy, u: npt.ArrayLike, v: npt.ArrayLike) -> Array: ...


@dataclass(frozen=True)
class Anatomy:
    """Measures of one face.

    Attributes:
        width: half width at the cheekbones; length: factor on heights; taper, squareness: of the lower outline.
        chin: height of the chin's lower end.
        eye_x, eye_y, eye_half, eye_up, eye_down: eye centres, half width, height above and below the corners' line.
        nose_y: height of the nose's base.
        mouth_y, mouth_half: centre and half width of the closed mouth; lip_up, lip_down: heights of the lips.
        brow_y: height of the brows.
        crown: how boxy the upper outline is. form: the relief of a head that is not human, ``(face, u, v)``.
    """

    look: Look
    width: float
    length: float
    squareness: float
    taper: float
    chin: float
    eye_x: float
    eye_y: float
    eye_half: float
    eye_up: float
    eye_down: float
    nose_y: float
    mouth_y: float
    mouth_half: float
    lip_up: float
    lip_down: float
    brow_y: float
    crown: float = 2.6
    form: Form | None = None

    @classmethod
    def of(cls, look: Look) -> Anatomy:
        """The measures that a look's traits stand for."""
        eye_half = 0.160 * look.eye_size
        nose_y = 0.335 + 0.12 * (look.nose_length - 1.0)
        fullness = look.lip_fullness
        return cls(
            look=look,
            width=0.755 * look.face_width,
            length=look.face_length,
            squareness=2.15 + 0.85 * look.jaw,
            taper=0.10 - 0.07 * look.jaw,
            chin=1.0 + 0.10 * (look.chin - 1.0),
            eye_x=0.315 * look.eye_spacing,
            eye_y=-0.06,
            eye_half=eye_half,
            eye_up=0.475 * eye_half * look.eye_roundness,
            eye_down=0.27 * eye_half * look.eye_roundness,
            nose_y=nose_y,
            mouth_y=0.545 + 0.5 * (nose_y - 0.335),
            mouth_half=0.275 * look.mouth_width,
            lip_up=0.062 * fullness,
            lip_down=0.086 * fullness,
            brow_y=-0.245 - 0.01 * look.brow_arch,
        )

    @property
    def eye_distance(self) -> float:
        """Distance between the outer eye corners."""
        return 2.0 * (self.eye_x + self.eye_half)

    def half_width(self, v: npt.ArrayLike) -> Array:
        """Half the head's width at heights ``v``."""
        v = np.asarray(v, dtype=np.float64)
        up = np.clip(v / TOP, 0.0, 1.0)
        down = np.clip(v / self.chin, 0.0, 1.0)
        upper = np.sqrt(1.0 - up**self.crown)
        lower = np.sqrt(1.0 - down**self.squareness) * (1.0 - self.taper * smoothstep(down, 0.2, 0.9))
        return np.asarray(self.width * np.where(v < 0, upper, lower))

    def centre_z(self, v: npt.ArrayLike) -> Array:
        """Depth of the row ellipses' centres: the jaw lies in front of the skull's middle."""
        return 0.50 * smoothstep(v, 0.25, self.chin)

    def half_depth(self, v: npt.ArrayLike) -> Array:
        """Half the depth of the row ellipses."""
        v = np.asarray(v, dtype=np.float64)
        up = np.clip(v / TOP, 0.0, 1.0)
        down = np.clip(v / self.chin, 0.0, 1.0)
        front = 0.78 - 0.05 * smoothstep(v, 0.4, 1.0) - self.centre_z(v)
        return np.asarray(front * np.where(v < 0, (1.0 - up**3.2) ** 0.5, np.sqrt(1.0 - down**9)))

    def relief(self, u: npt.ArrayLike, v: npt.ArrayLike) -> Array:
        """Height of nose, brows, lips and chin over the smooth head; ``u`` and ``v`` broadcast."""
        if self.form is not None:
            return self.form(self, u, v)
        look, u = self.look, np.asarray(u, dtype=np.float64)
        v = np.asarray(v, dtype=np.float64)
        base, wings = self.nose_y, 0.105 * look.nose_width
        z = 0.075 * look.nose_bridge * bump(u, v, 0, base - 0.33, 0.100, 0.17)
        z = z + 0.12 * bump(u, v, 0, base - 0.13, 0.098, 0.13) + 0.13 * bump(u, v, 0, base - 0.045, 0.100, 0.066)
        side = np.abs(u)
        z = z + 0.060 * bump(side, v, wings, base - 0.03, 0.048 * look.nose_width, 0.048)
        z = z - 0.020 * bump(side, v, wings + 0.055, base - 0.03, 0.02, 0.05)
        z = z - 0.085 * bump(side, v, self.eye_x - 0.02, self.eye_y - 0.01, 0.17, 0.10)
        z = z + 0.042 * bump(side, v, self.eye_x, self.eye_y + 0.005, 0.135, 0.065)
        z = z + (0.022 + 0.02 * look.jaw) * bump(side, v, self.eye_x, self.brow_y + 0.01, 0.19, 0.055)
        z = z + 0.045 * look.cheek * bump(side, v, 0.42, 0.18, 0.17, 0.14)
        z = z - 0.018 * bump(side, v, 0.36 + 0.25 * (v - 0.42), 0.46, 0.055, 0.14)
        share = np.clip(1.0 - (u / (1.1 * self.mouth_half)) ** 2, 0.0, 1.0)
        rise = v - self.mouth_y
        z = z + 0.042 * np.exp(-(((rise + 0.5 * self.lip_up) / (0.75 * self.lip_up)) ** 2)) * share
        z = z + 0.052 * np.exp(-(((rise - 0.5 * self.lip_down) / (0.68 * self.lip_down)) ** 2)) * share
        z = z - 0.030 * np.exp(-((rise / 0.016) ** 2)) * share**0.4
        z = z + 0.025 * bump(u, v, 0, self.mouth_y, 0.30, 0.17)
        z = z - 0.036 * bump(u, v, 0, self.mouth_y + self.lip_down + 0.055, 0.15, 0.04)
        z = z + 0.055 * look.chin * bump(u, v, 0, 0.85, 0.17, 0.095)
        z = z - 0.014 * bump(u, v, 0, 0.5 * (base + self.mouth_y - self.lip_up), 0.026, 0.045)
        return np.asarray(z)

    def rows(self) -> Array:
        """Heights of the loft's rows, close together at both ends."""
        share = np.linspace(0.0, 1.0, ROWS)
        spread = 0.45 * share + 0.55 * (1.0 - np.cos(np.pi * share)) / 2.0
        return np.asarray(TOP + (self.chin - TOP) * spread)

    def loft(self) -> Loft:
        """The head's surface."""
        v = self.rows()
        plain = Loft.build(v, self.half_width(v), self.centre_z(v), self.half_depth(v))
        return plain.raised(self.relief(plain.u, v[:, None]) * (np.abs(plain.angles) < np.pi / 2))
