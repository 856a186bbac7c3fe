"""An offset of sound against picture that needs no weights: the opening of the mouth against the level of the vowels.

A mouth opens for vowels, whose first and second formants lie between 500 and 1,500 Hz. So the level in that band (dB,
40 ms around the middle of each frame, at most 40 dB below its loudest) is correlated with the opening of the mouth
(``faces.mouth``), at every shift of up to 15 frames, each over the frames that both have. The shift of the highest
correlation is the offset. It asks when the mouth opens, not what it says: a dub of other words at the same rhythm
passes, so it complements SyncNet and does not stand in for it.

Measured on the embedded world (52 clips with one face, eight speakers, each with its sound moved by -12 to 10 frames,
364 cases): the true offset within one frame in 95 % of frontal and all of 35 profile cases, exact in 78 %; where it is
wrong, it mostly is by far (a rhythm that repeats). Sign as SyncNet's: positive when the sound is ahead of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, missing_extra
from dubflow.judging.correlation import correlation
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform
from dubflow.judging.syncnet import FARTHEST
from dubflow.speech.durations import FRAME_RATE
from dubflow.speech.prosody import energy

VOWELS_HZ = (500.0, 1500.0)
WINDOW_S = 0.04
RANGE_DB = 40.0
FEWEST = 25
"""Frames that must be common to both at every shift."""


@dataclass(frozen=True)
class MouthSync:
    """How the mouth follows the voice.

    Attributes:
        offset: frames (1/25 s) by which the sound is ahead; 0 is best.
        correlation: at that offset, up to 1.
        at_zero: correlation without any shift, which a dub is heard and seen at.
        confidence: the highest correlation minus the median of all shifts, as LSE-C is for distances.
        curve: correlations ``[31]`` for a sound that is ``k`` = -15 to 15 frames late.
    """

    offset: int
    correlation: float
    at_zero: float
    confidence: float
    curve: tuple[float, ...]


def vowel_level(waveform: NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    """Level of 500 to 1,500 Hz at the middle of each of ``frames`` frames of a 16 kHz mono waveform ``[N]``.

    In dB, with the recording brought to a peak of 1, so that how loud it is changes nothing; at most 40 dB below the
    loudest frame.

    Raises:
        BadInput: ``judging.bad_waveform``.
        WrongUse: ``install.missing_extra``.
    """
    try:
        from scipy.signal import butter, sosfiltfilt
    except ImportError as error:
        raise missing_extra("scipy") from error
    audio = checked_waveform(waveform)
    audio = audio / max(float(np.abs(audio).max(initial=0.0)), np.finfo(np.float32).tiny)
    band = butter(3, VOWELS_HZ, "bandpass", fs=SAMPLE_RATE, output="sos")
    # Both ways, so that nothing is late; silence around it spares the filter a shorter signal than it can start on.
    edge = SAMPLE_RATE // 10
    vowels = sosfiltfilt(band, np.pad(audio, edge))[edge : edge + audio.size]
    moments = (np.arange(frames) + 0.5) / FRAME_RATE
    level = energy(vowels, SAMPLE_RATE, moments, window_s=WINDOW_S)
    return np.maximum(level, level.max(initial=-np.inf) - RANGE_DB)


def mouth_sync(opening: NDArray[np.floating[Any]], waveform: NDArray[np.float32]) -> MouthSync | None:
    """Of the mouth's opening ``[F]`` (25 frames a second, NaN where no face) and 16 kHz mono ``[N]`` on one clock.

    None where the mouth or the voice does not move, so that nothing could be in or out of step.

    Raises:
        BadInput: ``judging.bad_curve``, ``judging.bad_waveform``; ``judging.too_short`` with fewer than 25 frames with
            a face at some shift (40 frames always do).
        WrongUse: ``install.missing_extra``.
    """
    mouth = np.asarray(opening, dtype=np.float64)
    if mouth.ndim != 1:
        raise BadInput("judging.bad_curve", f"A curve of the mouth has one value a frame, not {list(mouth.shape)}.")
    voice = vowel_level(waveform, mouth.size)
    curve = []
    for late in range(-FARTHEST, FARTHEST + 1):
        seen, heard = _overlap(mouth, voice, late)
        known = np.isfinite(seen)
        if known.sum() < FEWEST:
            raise BadInput(
                "judging.too_short",
                f"The mouth is seen in {int(np.isfinite(mouth).sum())} of {mouth.size} frames; too few to be shifted.",
                f"Give {FEWEST + FARTHEST} or more.",
            )
        curve.append(correlation(seen[known], heard[known]))
    found = [0.0 if value is None else value for value in curve]
    if curve[FARTHEST] is None or max(found) <= 0:
        return None
    best = int(np.argmax(found))
    return MouthSync(
        offset=FARTHEST - best,
        correlation=found[best],
        at_zero=found[FARTHEST],
        confidence=found[best] - float(np.median(found)),
        curve=tuple(found),
    )


def _overlap(
    mouth: NDArray[np.float64], voice: NDArray[np.float64], late: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frames of the mouth, and of a voice that is ``late`` by so many."""
    frames = mouth.size
    first, last = max(0, -late), max(min(frames, frames - late), 0)
    return mouth[first:last], voice[first + late : max(last + late, 0)]
