"""Rooms behind a head: drawn once from a seed, with props that show sound events on their exact frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from dubflow.errors import WrongUse
from dubflow.talkers.events import EVENT_KINDS, EventKind, SoundEvent
from dubflow.talkers.paint.props import PLACES, State, paint_prop, state
from dubflow.talkers.paint.scenery import ROOMS, paint_room
from dubflow.talkers.pose import Light

Image = npt.NDArray[np.uint8]
Window = tuple[slice, slice]

_KEPT: Final = 64  # painted states of a prop; the way back of a door has the most


class Scenery:
    """The background of one clip.

    Rooms follow the seed in turn (office, window, book shelf, studio, bricks, kitchen); every other trait is random. A
    thing that sounds stands in the room when ``events`` name it; only its part of the picture is repainted.

    Args:
        seed: which room.
        size: height and width in pixels, or one number for a square; at least 48.
        events: what is seen to sound, and on which frames.
        light: the scene's light, as given to the head's painter.

    Raises:
        WrongUse: ``talkers.bad_size``, ``talkers.bad_seed``.
    """

    def __init__(
        self, seed: int, size: tuple[int, int] | int, events: Sequence[SoundEvent] = (), light: Light | None = None
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else size
        if min(self.size) < 48:
            raise WrongUse("talkers.bad_size", f"A room of {self.size} pixels is too small.", "Use 48 or more.")
        if seed < 0:
            raise WrongUse("talkers.bad_seed", f"A seed is a whole number from 0, not {seed}.")
        self.seed = seed
        self.room = ROOMS[seed % len(ROOMS)].__name__.lstrip("_")
        self.events = tuple(sorted(events, key=lambda event: (event.frame, event.kind)))
        self.light = light or Light()
        self._kinds: tuple[EventKind, ...] = tuple(
            kind for kind in EVENT_KINDS if any(event.kind == kind for event in self.events)
        )
        self._room = paint_room(seed, self.size, self.light)
        self._room.setflags(write=False)
        self._painted: dict[tuple[EventKind, State], Image] = {}

    def window(self, kind: EventKind) -> Window:
        """Rows and columns of the picture in which events of ``kind`` are seen."""
        height, width = self.size
        left, top, right, bottom = PLACES[kind]
        return (
            slice(round(top * height), round(bottom * height)),
            slice(round(left * width), round(right * width)),
        )

    def frame(self, index: int) -> Image:
        """The background at video frame ``index``: uint8 ``[H, W, 3]``, read-only; the same for equal arguments."""
        if not self._kinds:
            return self._room
        picture = self._room.copy()
        for kind in self._kinds:
            picture[self.window(kind)] = self._prop(kind, state(kind, index, self.events))
        picture.setflags(write=False)
        return picture

    def _prop(self, kind: EventKind, moved: State) -> Image:
        painted = self._painted.get((kind, moved))
        if painted is None:
            if len(self._painted) >= _KEPT:
                self._painted.clear()
            painted = paint_prop(kind, moved, self._room[self.window(kind)], self.seed, self.light)
            self._painted[kind, moved] = painted
        return painted
