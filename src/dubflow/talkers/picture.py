"""The frames of a plan: scenery behind, people before it, light over both."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Final, get_args

import numpy as np
import numpy.typing as npt

from dubflow.talkers.backgrounds import Scenery
from dubflow.talkers.look import Figure, Look
from dubflow.talkers.painter import HeadPainter, Occluder
from dubflow.talkers.performance import Performance
from dubflow.talkers.pose import Light
from dubflow.talkers.scenes import ClipPlan

Image = npt.NDArray[np.uint8]

_LIGHTS: Final = (
    Light(),
    Light(x=0.5, y=-0.5, warmth=0.25),
    Light(x=-0.2, y=-0.75, key=1.08, warmth=-0.2),
)


def light_of(plan: ClipPlan) -> Light:
    """The light of a clip: dim in ``low_light``, else one of three that suit a face."""
    return Light.low() if plan.kind == "low_light" else _LIGHTS[plan.seed % len(_LIGHTS)]


def seats(plan: ClipPlan) -> tuple[int, ...]:
    """Left edge of each person's square in the picture, in pixels; two people's squares overlap and reach beyond it."""
    height, width = plan.picture_size
    if len(plan.people) == 1:
        return ((width - height) // 2,)
    reach = height // 8
    return (-reach, width - height + reach)


def paint_clip(plan: ClipPlan, performances: Sequence[Performance], frames: int) -> Iterator[Image]:
    """``frames`` pictures, uint8 ``[H, W, 3]``; without performances the scenery alone."""
    light = light_of(plan)
    height, width = plan.picture_size
    scenery = Scenery(plan.seed, plan.picture_size, [event.sound_event() for event in plan.events], light)
    occluder = next(kind for kind in get_args(Occluder) if kind == plan.occluder)
    painters = [
        _painter(plan.people[performance.person].look(), height, light, occluder, plan.figure)
        for performance in performances
    ]
    margin = max(0, -min(seats(plan)))
    for index in range(frames):
        picture = np.pad(scenery.frame(index), ((0, 0), (margin, margin), (0, 0)), mode="edge")
        for painter, performance in zip(painters, performances, strict=True):
            left = seats(plan)[performance.person] + margin
            square = picture[:, left : left + height]
            square[:] = painter.paint(performance.poses[index], square)
        yield picture[:, margin : margin + width]


@functools.lru_cache(maxsize=8)
def _painter(look: Look, size: int, light: Light, occluder: Occluder, figure: Figure) -> HeadPainter:
    # Getting a painter ready costs as much as several frames; consecutive clips often show the same person.
    return HeadPainter(look, size, light, occluder, figure)
