"""Who a drawn head is: every trait that stays the same through a person's clips, drawn from a seed."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from pydantic import Field

from dubflow.config import Strict
from dubflow.errors import WrongUse

Colour = tuple[float, float, float]  # red, green, blue, 0 to 1, as shown (not linear light)
Presentation = Literal["feminine", "masculine"]
HairStyle = Literal["short", "crop", "quiff", "bob", "long", "wavy", "bun", "curly", "afro", "receding", "bald"]
Beard = Literal["none", "stubble", "moustache", "goatee", "full"]
Glasses = Literal["none", "round", "square", "thin"]
Collar = Literal["crew", "vneck", "shirt", "turtleneck", "hoodie"]
Figure = Literal["human", "cat", "fox", "robot", "clay"]
CREATURES: Final[tuple[Figure, ...]] = ("cat", "fox", "robot", "clay")
"""Figures that are no human beings; each takes its colours and proportions from somebody's look."""

_SKINS: Final[tuple[Colour, ...]] = (
    (0.96, 0.80, 0.71),
    (0.93, 0.75, 0.63),
    (0.89, 0.70, 0.56),
    (0.84, 0.64, 0.49),
    (0.76, 0.55, 0.40),
    (0.66, 0.46, 0.33),
    (0.55, 0.37, 0.26),
    (0.45, 0.30, 0.21),
)
_HAIRS: Final[dict[str, Colour]] = {
    "black": (0.10, 0.085, 0.08),
    "espresso": (0.17, 0.115, 0.085),
    "brown": (0.28, 0.185, 0.12),
    "chestnut": (0.37, 0.21, 0.13),
    "auburn": (0.46, 0.20, 0.11),
    "copper": (0.64, 0.31, 0.14),
    "sand": (0.56, 0.42, 0.26),
    "blond": (0.74, 0.58, 0.35),
    "platinum": (0.85, 0.76, 0.58),
}
_GREYS: Final[tuple[Colour, ...]] = ((0.50, 0.49, 0.48), (0.68, 0.67, 0.66), (0.83, 0.82, 0.80))
_IRISES: Final[tuple[Colour, ...]] = (
    (0.20, 0.12, 0.07),
    (0.33, 0.20, 0.10),
    (0.45, 0.31, 0.14),
    (0.38, 0.40, 0.20),
    (0.28, 0.45, 0.36),
    (0.27, 0.45, 0.62),
    (0.42, 0.56, 0.66),
)
_CLOTHES: Final[tuple[Colour, ...]] = (
    (0.17, 0.25, 0.40),
    (0.48, 0.16, 0.18),
    (0.20, 0.38, 0.33),
    (0.80, 0.79, 0.75),
    (0.22, 0.22, 0.25),
    (0.74, 0.55, 0.22),
    (0.45, 0.33, 0.50),
    (0.36, 0.50, 0.62),
    (0.68, 0.40, 0.32),
    (0.42, 0.45, 0.30),
)
_FRAMES: Final[tuple[Colour, ...]] = ((0.09, 0.08, 0.08), (0.30, 0.17, 0.09), (0.45, 0.42, 0.40), (0.20, 0.12, 0.25))
_FEMININE_HAIR: Final[tuple[HairStyle, ...]] = ("long", "bob", "bun", "wavy", "curly", "crop", "afro")
_MASCULINE_HAIR: Final[tuple[HairStyle, ...]] = ("short", "quiff", "crop", "receding", "curly", "bald", "wavy", "afro")


class Look(Strict):
    """Traits of one drawn person. Lengths are relative to an average face (1) unless a range says otherwise."""

    seed: int = Field(ge=0, lt=2**63, description="Where it came from; also drives the grain of skin, hair and cloth.")
    presentation: Presentation = Field(
        description="Leads the choice of hair, beard, brows and jaw; a voice can follow it."
    )
    age: float = Field(ge=0, le=1, description="0 about twenty, 1 about seventy: lines, grey hair, thinner lips.")
    skin: Colour = Field(description="Colour of lit skin.")
    blush: float = Field(ge=0, le=1, description="Redness of cheeks and nose.")
    freckles: float = Field(ge=0, le=1, description="Freckles over nose and cheeks.")
    face_width: float = Field(ge=0.85, le=1.15, description="Width of the head at the cheekbones.")
    face_length: float = Field(ge=0.9, le=1.1, description="Height of the head.")
    jaw: float = Field(ge=0, le=1, description="0 narrow, pointed; 1 broad, square.")
    chin: float = Field(ge=0.8, le=1.2, description="How far the chin stands out.")
    cheek: float = Field(ge=0, le=1, description="How full the cheekbones are.")
    hair_style: HairStyle = Field(description="Cut of the hair.")
    hair_colour: Colour = Field(description="Colour of lit hair.")
    hair_side: Literal[-1, 1] = Field(description="Side of the parting.")
    beard: Beard = Field(description="Hair on the lower face.")
    eye_spacing: float = Field(ge=0.92, le=1.08, description="Distance of the eyes from each other.")
    eye_size: float = Field(ge=0.88, le=1.15, description="Width of the eyes.")
    eye_roundness: float = Field(ge=0.8, le=1.25, description="Height of the eyes against their width.")
    eye_tilt: float = Field(ge=-1, le=1, description="Outer corners lower (-1) or higher (1).")
    iris: Colour = Field(description="Colour of the iris.")
    brow_thickness: float = Field(ge=0.6, le=1.6, description="Height of the brows.")
    brow_arch: float = Field(ge=0, le=1, description="0 straight, 1 arched.")
    nose_width: float = Field(ge=0.8, le=1.3, description="Width at the wings.")
    nose_length: float = Field(ge=0.9, le=1.1, description="Distance from the brows to the tip.")
    nose_bridge: float = Field(ge=0.6, le=1.4, description="How far the bridge stands out.")
    lip_fullness: float = Field(ge=0.75, le=1.4, description="Height of the lips.")
    mouth_width: float = Field(ge=0.88, le=1.12, description="Width of the mouth at rest.")
    lip: Colour = Field(description="Colour of the lips.")
    ear_size: float = Field(ge=0.8, le=1.2, description="Height of the ears.")
    glasses: Glasses = Field(description="Kind of glasses, if any.")
    glasses_colour: Colour = Field(description="Colour of their frame.")
    collar: Collar = Field(description="Cut of the clothes at the neck.")
    clothes: Colour = Field(description="Colour of the clothes.")
    clothes_trim: Colour = Field(description="Second colour of the clothes.")

    @classmethod
    def from_seed(cls, seed: int, presentation: Presentation | None = None) -> Look:
        """The person of a seed. Same seed, same person; neighbouring seeds are spread over tones, styles and shapes.

        The traits by which people are told apart at a glance walk through their ranges along a Kronecker sequence
        (multiples of an irrational number, modulo one), so that few seeds already cover them; the rest is random.

        Raises:
            WrongUse: ``talkers.bad_seed`` or ``talkers.bad_presentation``.
        """
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise WrongUse("talkers.bad_seed", f"A seed is a whole number from 0 to 2**63 - 1, not {seed!r}.")
        if presentation is not None and presentation not in get_args(Presentation):
            raise WrongUse("talkers.bad_presentation", f"There is no presentation {presentation!r}.")
        rng = np.random.default_rng([seed, 0x1F00D])
        feminine = presentation == "feminine" or (presentation is None and seed % 2 == 0)
        kind: Presentation = "feminine" if feminine else "masculine"
        age = float(np.clip(rng.beta(1.4, 1.8), 0.0, 1.0))
        skin = _between(_SKINS, _spread(seed, 0.6180339887498949))
        depth = 1.0 - (skin[0] - 0.45) / 0.51  # 0 the lightest tone, 1 the deepest
        style = _hair_style(_spread(seed // 2, 0.7548776662466927), feminine, age)
        beard = _beard(rng, feminine)
        lip_rose = 0.35 + 0.25 * rng.random() + (0.12 if feminine else 0.0)
        cloth = int(_spread(seed, 0.5698402909980532) * len(_CLOTHES))
        trim = (cloth + 1 + int(rng.integers(len(_CLOTHES) - 1))) % len(_CLOTHES)
        return cls(
            seed=seed,
            presentation=kind,
            age=age,
            skin=skin,
            blush=float(rng.uniform(0.2, 0.9)),
            freckles=float(rng.uniform(0.3, 1.0)) if depth < 0.45 and rng.random() < 0.3 else 0.0,
            face_width=float(0.90 + 0.2 * _spread(seed, 0.3819660112501051) + (0.0 if feminine else 0.02)),
            face_length=float(rng.uniform(0.94, 1.06)),
            jaw=float(rng.uniform(0.05, 0.5) if feminine else rng.uniform(0.4, 1.0)),
            chin=float(rng.uniform(0.85, 1.0) if feminine else rng.uniform(0.95, 1.18)),
            cheek=float(rng.uniform(0.3, 1.0)),
            hair_style=style,
            hair_colour=_hair_colour(rng, depth, age),
            hair_side=1 if rng.random() < 0.5 else -1,
            beard=beard,
            eye_spacing=float(rng.uniform(0.95, 1.05)),
            eye_size=float(rng.uniform(0.98, 1.14) if feminine else rng.uniform(0.9, 1.05)),
            eye_roundness=float(rng.uniform(0.88, 1.2)),
            eye_tilt=float(rng.uniform(-0.6, 1.0)),
            iris=_IRISES[int(rng.integers(len(_IRISES)) * (1.0 - 0.75 * depth))],
            brow_thickness=float(rng.uniform(0.7, 1.1) if feminine else rng.uniform(1.0, 1.5)),
            brow_arch=float(rng.uniform(0.4, 1.0) if feminine else rng.uniform(0.0, 0.6)),
            nose_width=float(np.clip(rng.uniform(0.85, 1.1) + 0.18 * depth, 0.8, 1.3)),
            nose_length=float(rng.uniform(0.92, 1.08)),
            nose_bridge=float(rng.uniform(0.7, 1.3)),
            lip_fullness=float(np.clip(rng.uniform(0.85, 1.15) + 0.2 * depth - 0.15 * age, 0.75, 1.4)),
            mouth_width=float(rng.uniform(0.92, 1.08)),
            lip=_mix((skin[0] * 0.86, skin[1] * 0.66, skin[2] * 0.66), (0.68, 0.25, 0.27), lip_rose),
            ear_size=float(rng.uniform(0.88, 1.15)),
            glasses=_glasses(rng),
            glasses_colour=_FRAMES[int(rng.integers(len(_FRAMES)))],
            collar=get_args(Collar)[int(_spread(seed, 0.4142135623730951) * len(get_args(Collar)))],
            clothes=_CLOTHES[cloth],
            clothes_trim=_CLOTHES[trim],
        )


def _spread(seed: int, step: float) -> float:
    """The ``seed``-th multiple of ``step`` modulo one, exact for every seed."""
    return (((seed + 1) * int(step * 2**64)) % 2**64) / 2**64


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    """``first`` with ``share`` (0 to 1) of ``second``."""
    red, green, blue = ((1.0 - share) * a + share * b for a, b in zip(first, second, strict=True))
    return (float(red), float(green), float(blue))


def _between(colours: tuple[Colour, ...], position: float) -> Colour:
    """The colour at ``position`` (0 to 1) of a path through ``colours``."""
    place = position * (len(colours) - 1)
    index = min(int(place), len(colours) - 2)
    return _mix(colours[index], colours[index + 1], place - index)


def _hair_style(position: float, feminine: bool, age: float) -> HairStyle:
    styles = _FEMININE_HAIR if feminine else _MASCULINE_HAIR
    style = styles[int(position * len(styles))]
    if style in ("receding", "bald") and age < 0.2:
        return "short"
    return style


def _hair_colour(rng: np.random.Generator, depth: float, age: float) -> Colour:
    names = list(_HAIRS)
    lightest = 3 if depth > 0.5 else 5 if depth > 0.35 else len(names)
    colour = _HAIRS[names[int(rng.integers(lightest))]]
    grey = _GREYS[int(rng.integers(len(_GREYS)))]
    greyness = float(np.clip((age - 0.55) / 0.2, 0.0, 1.0)) * float(rng.uniform(0.4, 1.0))
    return _mix(colour, grey, greyness)


def _beard(rng: np.random.Generator, feminine: bool) -> Beard:
    kinds = get_args(Beard)
    kind: Beard = kinds[int(rng.choice(len(kinds), p=(0.4, 0.2, 0.12, 0.13, 0.15)))]
    return "none" if feminine else kind


def _glasses(rng: np.random.Generator) -> Glasses:
    kinds = get_args(Glasses)
    kind: Glasses = kinds[int(rng.choice(len(kinds), p=(0.68, 0.12, 0.12, 0.08)))]
    return kind
