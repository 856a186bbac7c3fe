"""An offset of sound against picture that needs no weights: the opening of the mouth against the level of the vowels.

A mouth opens for vowels, whose first and second formants lie between 500 and 1,500 Hz. So the level in that band (dB,
40 ms around the middle of each frame, at most 40 dB below its loudest) is compared with the root of the mouth's opening
(``faces.mouth``) at every shift of up to 15 frames, over the frames that both have. What is compared is the mean of two
correlations, of the courses and of their changes from frame to frame: courses alone repeat with every syllable. The
shift where it is highest is the offset. It asks when the mouth opens, not what it says: a dub of other words at the
same rhythm passes, so it complements SyncNet and does not stand in for it.

Measured with the sound moved by known frames. 18 real GRID clips, 4 shifts each: within one frame in 93 % (median 1
frame, which is GRID's own), though band, root and weights were chosen on these. Embedded world (52 clips with one face,
eight speakers, 3 shifts): within one frame in 92 %, median 0. Where it is wrong it mostly is by far. Sign as SyncNet's:
positive when the sound is ahead of the picture.
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
        correlation: mean of the two correlations at that offset, up to 1.
        at_zero: the same without any shift, as a dub is heard and seen.
        confidence: the highest minus the median of all shifts, as LSE-C is for distances.
        curve: the same ``[31]`` for a sound that is ``k`` = -15 to 15 frames late.
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
    audio = audio / max(float(np.abs(audio).max(initial=0.0)), float(np.finfo(np.float32).tiny))
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
            a face at some shift (40 without a gap do).
        WrongUse: ``install.missing_extra``.
    """
    mouth = np.asarray(opening, dtype=np.float64)
    if mouth.ndim != 1:
        raise BadInput("judging.bad_curve", f"A curve of the mouth has one value a frame, not {list(mouth.shape)}.")
    voice = vowel_level(waveform, mouth.size)
    shape = np.sqrt(np.maximum(mouth, 0.0))
    courses = ((shape, voice), (_change(shape), _change(voice)))
    curve = []
    for late in range(-FARTHEST, FARTHEST + 1):
        both = [_agreement(*_overlap(seen, heard, late)) for seen, heard in courses]
        curve.append(None if both[0] is None else (both[0] + (both[1] or 0.0)) / 2)
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


def _agreement(seen: NDArray[np.float64], heard: NDArray[np.float64]) -> float | None:
    known = np.isfinite(seen)
    if known.sum() < FEWEST:
        raise BadInput(
            "judging.too_short",
            f"At some shift the mouth is seen in {int(known.sum())} frames with sound; too few to be compared.",
            f"Give {FEWEST + FARTHEST + 2} or more.",
        )
    return correlation(seen[known], heard[known])


def _change(course: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the difference between the frames after and before; NaN beside gaps."""
    return np.gradient(course) if course.size > 1 else np.zeros_like(course)


def _overlap(
    mouth: NDArray[np.float64], voice: NDArray[np.float64], late: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frames of the mouth, and of a voice that is ``late`` by so many."""
    frames = mouth.size
    first, last = max(0, -late), max(min(frames, frames - late), 0)
    return mouth[first:last], voice[first + late : max(last + late, 0)]
