"""What an engine is asked, and what it answers.

An engine looks at one clip at a time (pictures are large) and speaks for several at once (networks like batches).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dubflow.dubbing.picture import NewPicture
from dubflow.dubbing.planning import PlannedSegment
from dubflow.dubbing.request import DubOptions
from dubflow.dubbing.voice import Voice
from dubflow.dubbing.watching import Watch
from dubflow.speech.durations import SAMPLE_RATE

Seen = TypeVar("Seen")


@dataclass(frozen=True, eq=False)
class Job:
    """One clip, planned.

    Attributes:
        clip: its file.
        frames: at 25 a second.
        segments: within these frames, in order, not overlapping.
    """

    clip: Path
    frames: int
    segments: tuple[PlannedSegment, ...]
    language: str
    voice: Voice
    options: DubOptions


@dataclass(frozen=True, eq=False)
class SpokenSegment:
    """What an engine says in one segment of ``n`` frames.

    Attributes:
        waveform: mono, ``n / 25`` seconds of it: 16 kHz ``[640 n]`` unless ``sample_rate`` says otherwise.
        planned: first and last moment of speech as the engine meant them, in seconds of the segment.
        face_found: share of the frames that really showed the face.
        notices: one sentence each.
        picture: what is to be seen, from an engine that makes pictures; of as many frames as the waveform.
        covers: first and last (exclusive) frame of waveform and picture, where an engine makes more than it was asked
            for: also what lies between segments. Neighbours then touch and are not faded into each other.
        sample_rate: of the waveform.
    """

    waveform: NDArray[np.float32]
    planned: tuple[float, float] | None
    face_found: float
    notices: tuple[str, ...] = ()
    picture: NewPicture | None = None
    covers: tuple[int, int] | None = None
    sample_rate: int = SAMPLE_RATE


class Engine(Protocol[Seen]):
    """Dubs clips."""

    @property
    def id(self) -> str:
        """Name, and digest of what it speaks with."""

    @property
    def world(self) -> Literal["embedded", "real"]:
        """Where it learnt to speak."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Which languages it learnt."""

    def look(self, job: Job, watch: Watch) -> Seen:
        """Everything about a clip that does not depend on other clips.

        Args:
            watch: hears of the stage ``looking``, and of shares of this call.

        Raises:
            BadInput: ``dubbing.no_face`` where the options refuse, ``dubbing.cancelled``, and what reading the clip
                says.
        """

    def speak(self, seen: Sequence[Seen], watch: Watch) -> list[list[SpokenSegment]]:
        """The segments of several clips, in order.

        Args:
            watch: hears of the stage ``speaking``, and of shares of this call; stopping it stops all these clips.

        Raises:
            BadInput: ``dubbing.cancelled``.
        """
