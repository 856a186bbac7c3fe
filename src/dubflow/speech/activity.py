"""When somebody speaks: stretches of sound well above the quiet of the same recording.

A recording's quiet is its quietest three hundredths, its speech what is louder than all but a twentieth. Between the
two, nearer to the quiet, lies the threshold. Stretches that are apart by no more than the closure of a plosive belong
together, and what remains shorter than a syllable is no speech. It hears level alone: a loud door speaks, too.

Measured on 48 switching clips of the embedded world in seven languages: all edges within 0.1 s of the first and last
phones, also with noise at -50 dB of full scale; at -40 dB 97 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.speech.prosody import energy

HOP_S = 0.01
_WINDOW_S = 0.03
_QUIET_PERCENT, _LOUD_PERCENT = 3.0, 95.0
_SHARE, _BELOW_DB = 0.3, 32.0
_LEAST_RANGE_DB = 12.0
_INAUDIBLE_DB = -55.0
_CLOSURE_S, _SYLLABLE_S = 0.2, 0.08


@dataclass(frozen=True)
class Stretch:
    """Seconds ``start`` to ``end`` of a recording."""

    start: float
    end: float


class VoiceActivity(Protocol):
    """Tells when somebody speaks."""

    @property
    def id(self) -> str:
        """Name, version and settings."""

    def stretches(self, waveform: NDArray[Any], sample_rate: int) -> list[Stretch]:
        """Stretches of speech in a mono waveform ``[N]`` in -1..1, in order, apart from each other."""


@dataclass(frozen=True)
class LevelActivity:
    """Implements :class:`VoiceActivity` by level.

    Attributes:
        closure_s: silences up to this long are part of speech. syllable_s: shorter sounds are no speech.
    """

    closure_s: float = _CLOSURE_S
    syllable_s: float = _SYLLABLE_S

    @property
    def id(self) -> str:
        """See :class:`VoiceActivity`."""
        return f"level-1-{self.closure_s:g}-{self.syllable_s:g}"

    def stretches(self, waveform: NDArray[Any], sample_rate: int) -> list[Stretch]:
        """See :class:`VoiceActivity`.

        Raises:
            BadInput: ``speech.bad_waveform``.
        """
        audio = np.asarray(waveform)
        if audio.ndim != 1 or sample_rate <= 0:
            raise BadInput(
                "speech.bad_waveform", f"A waveform is mono [N], not {list(audio.shape)}.", "Mix its channels first."
            )
        seconds = len(audio) / sample_rate
        times = (np.arange(int(seconds / HOP_S)) + 0.5) * HOP_S
        if not times.size:
            return []
        level = energy(audio, sample_rate, times, window_s=_WINDOW_S)
        quiet, loud = np.percentile(level, (_QUIET_PERCENT, _LOUD_PERCENT))
        if loud < _INAUDIBLE_DB:
            return []
        if loud - quiet < _LEAST_RANGE_DB:
            return [Stretch(0.0, seconds)]  # a steady sound: nothing in it is quiet
        active = level > max(quiet + _SHARE * (loud - quiet), loud - _BELOW_DB)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
        found: list[Stretch] = []
        for start, end in (edges.reshape(-1, 2) * HOP_S).tolist():
            if found and start - found[-1].end <= self.closure_s + 1e-9:
                found[-1] = Stretch(found[-1].start, end)
            else:
                found.append(Stretch(start, end))
        return [one for one in found if one.end - one.start >= self.syllable_s - 1e-9]
