"""What turns speech into words for the judges."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput

SAMPLE_RATE = 16_000


class Recogniser(Protocol):
    """Hears one utterance at a time; what it heard before changes nothing."""

    @property
    def id(self) -> str:
        """Name and version: part of what a figure may be compared with."""

    def hear(self, waveform: NDArray[np.float32]) -> str:
        """Words of a 16 kHz mono waveform ``[N]`` in -1..1; empty where none were made out."""


def checked_waveform(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """The waveform ``[N]`` in double precision.

    Raises:
        BadInput: ``judging.bad_waveform`` when it is no finite mono audio.
    """
    audio = np.asarray(waveform)
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating) or not np.isfinite(audio).all():
        raise BadInput(
            "judging.bad_waveform",
            f"A waveform is finite floats of shape [N], not {audio.dtype} {list(audio.shape)}.",
            "Read the audio with dubflow.media.",
        )
    return audio.astype(np.float64)
