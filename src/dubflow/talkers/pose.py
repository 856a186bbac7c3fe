"""What one frame of a drawn head shows, and the light a scene is drawn in."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final

from dubflow.errors import WrongUse

_LIMITS: Final[dict[str, tuple[float, float]]] = {
    "opening": (0.0, 0.6),
    "width": (-0.4, 0.4),
    "rounding": (0.0, 1.0),
    "press": (0.0, 1.0),
    "teeth": (0.0, 1.0),
    "tongue": (0.0, 1.0),
    "jaw": (0.0, 0.2),
    "blink": (0.0, 1.0),
    "brow_raise": (-1.0, 1.0),
    "brow_frown": (0.0, 1.0),
    "gaze_x": (-1.0, 1.0),
    "gaze_y": (-1.0, 1.0),
    "dx": (-0.5, 0.5),
    "dy": (-0.5, 0.5),
    "roll": (-0.7, 0.7),
    "yaw": (-0.8, 0.8),
    "pitch": (-0.45, 0.45),
    "scale": (0.4, 2.0),
}


@dataclass(frozen=True, slots=True)
class Pose:
    """One frame's face and head. All zeros (teeth, scale: one) is the rest pose: mouth shut, eyes open, facing us.

    Directions are those of the picture: x grows to the right, y grows downwards.

    Attributes:
        opening: inner-lip gap divided by the distance between the outer eye corners, 0 to 0.6 (speech: to 0.35).
        width: relative change of the mouth's width, -0.4 to 0.4 (0.2 is a broad smile).
        rounding: puckered, protruded lips, 0 to 1 (1: the lips of ``u``); narrows the mouth by itself.
        press: lips pressed together as in m, b, p, 0 to 1; only to be seen while ``opening`` is small.
        teeth: how much of the teeth the lips uncover, 0 to 1.
        tongue: tongue tip raised towards the upper teeth (l, th), 0 to 1.
        jaw: chin lowered beyond what ``opening`` asks for, in the same unit, 0 to 0.2.
        blink: upper lids lowered, 0 open to 1 shut.
        brow_raise: both brows up (1) or down (-1).
        brow_frown: inner brow ends drawn down and together, 0 to 1.
        gaze_x, gaze_y: where the eyes look, -1 to 1.
        dx, dy: shift of the head as a part of the picture's width and height.
        roll, yaw, pitch: radians; positive roll turns the head clockwise, positive yaw turns the face to the right side
            of the picture, positive pitch lifts the nose. Yaw beyond 0.8 (45 degrees) is refused: a height over lofted
            ellipses has no back side worth showing.
        scale: 1 makes the head about 0.72 of the picture's height.

    Raises:
        WrongUse: ``talkers.pose_out_of_range``.
    """

    opening: float = 0.0
    width: float = 0.0
    rounding: float = 0.0
    press: float = 0.0
    teeth: float = 1.0
    tongue: float = 0.0
    jaw: float = 0.0
    blink: float = 0.0
    brow_raise: float = 0.0
    brow_frown: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    dx: float = 0.0
    dy: float = 0.0
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise WrongUse(
                    "talkers.pose_out_of_range",
                    f"Pose.{name} is {value}; it must be between {low} and {high}.",
                    "Use Pose.within_limits(...) to cut values off at their limits.",
                )

    @classmethod
    def within_limits(cls, **values: float) -> Pose:
        """A pose whose finite ``values`` are cut off at their limits; not-a-number is still refused."""
        clipped = {
            name: value if math.isnan(value) else min(max(value, _LIMITS[name][0]), _LIMITS[name][1])
            for name, value in values.items()
        }
        return cls(**clipped)

    @staticmethod
    def limits() -> dict[str, tuple[float, float]]:
        """Lowest and highest value of every field."""
        return {field.name: _LIMITS[field.name] for field in fields(Pose)}


@dataclass(frozen=True, slots=True)
class Light:
    """The key light of a scene, fixed for a clip.

    Attributes:
        x, y, z: direction from the face towards the light (x right, y down, z towards the viewer); any length but zero.
        key: strength of the key light; 1 is a lit room.
        fill: strength of the light that comes from everywhere.
        warmth: -1 bluish to 1 orange.
    """

    x: float = -0.45
    y: float = -0.55
    z: float = 0.75
    key: float = 1.0
    fill: float = 1.0
    warmth: float = 0.0

    def __post_init__(self) -> None:
        if not math.hypot(self.x, self.y, self.z) > 1e-6 or min(self.key, self.fill) < 0:
            raise WrongUse(
                "talkers.bad_light",
                "A light needs a direction, and strengths that are not negative.",
                "Use Light() or Light.low().",
            )

    @classmethod
    def low(cls) -> Light:
        """A dim room: one weak, warm lamp from the side."""
        return cls(x=-0.8, y=-0.25, z=0.55, key=0.5, fill=0.36, warmth=0.5)

    @property
    def ambient(self) -> float:
        """How bright a scene looks on the whole; 1 in a lit room."""
        return 0.45 * self.key + 0.55 * self.fill
