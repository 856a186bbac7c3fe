"""What quality control asks others: Protocols. ``platform.pair_judges`` gives them judging's implementations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.faces.tracks import FaceTrack

SAMPLE_RATE = 16_000
"""Of the sounds that judges get, Hz."""

Frames = NDArray[np.uint8]
Waveform = NDArray[np.float32]


class SpeechJudge(Protocol):
    """Hears what was said."""

    @property
    def id(self) -> str:
        """Name and version: part of what a figure may be compared with."""

    def error(self, waveform: Waveform, text: str, language: str) -> float | None:
        """Wrong units (words, phones) over those of ``text``, 0 to above 1; None where it cannot tell.

        Args:
            waveform: mono ``[N]`` at 16 kHz.
        """


class VoiceJudge(Protocol):
    """Tells voices apart."""

    @property
    def id(self) -> str:
        """As of :class:`SpeechJudge`."""

    def similarity(self, waveform: Waveform, other: Waveform) -> float | None:
        """Cosine of the voices in two sounds at 16 kHz, -1 to 1; None where nobody speaks."""


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A clip and its main face: frames uint8 RGB ``[F, H, W, 3]``, and the track of as many."""

    frames: Frames
    track: FaceTrack


class FaceJudge(Protocol):
    """Tells faces apart."""

    @property
    def id(self) -> str:
        """As of :class:`SpeechJudge`."""

    def similarity(self, face: SeenFace, reference: SeenFace) -> float | None:
        """Cosine of two faces, -1 to 1; None where one is not seen."""


class SceneJudge(Protocol):
    """Says whether a picture shows what the prompt says."""

    @property
    def id(self) -> str:
        """As of :class:`SpeechJudge`."""

    def agreement(self, frames: Frames, shown: str) -> float | None:
        """How well ``frames`` show ``shown``, 0 to 1; None where it does not say.

        Raises:
            OurFault: ``incontext.chat_failed`` where a service that is asked does not answer.
        """
