"""Segments on the clip's clock, and what sounds between them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dubflow.speech.durations import FRAME_RATE, SAMPLE_RATE

Waveform = NDArray[np.float32]

_FADE_S = 0.01


def samples_of(duration: Fraction, sample_rate: int) -> int:
    """Samples of a sound that lasts ``duration`` seconds: the exact product, rounded half up."""
    return int(duration * sample_rate + Fraction(1, 2))


def stitch(
    segments: Sequence[tuple[int, Waveform]],
    samples: int,
    sample_rate: int,
    background: Waveform | None = None,
    own_rate: int = SAMPLE_RATE,
) -> Waveform:
    """A waveform ``[samples]`` at ``sample_rate`` in which each segment begins with its frame.

    Args:
        segments: first frame (25 a second) and sound of each at ``own_rate``, in order, not overlapping.
        background: ``[N]`` at ``sample_rate``, what sounds where no segment is; None for silence. It is faded out and
            in over 10 ms around each segment.
    """
    whole = np.zeros(samples, np.float32)
    if background is not None:
        kept = min(samples, len(background))
        whole[:kept] = background[:kept]
    for first, sound in segments:
        start = round(Fraction(first * sample_rate, FRAME_RATE))
        piece = resampled(sound, own_rate, sample_rate)[: max(0, samples - start)]
        if background is not None:
            _make_room(whole, start, start + len(piece), round(_FADE_S * sample_rate))
        whole[start : start + len(piece)] += _faded(piece, round(_FADE_S * sample_rate))
    return whole


def resampled(sound: Waveform, own_rate: int, sample_rate: int) -> Waveform:
    """A sound at another sample rate."""
    if sample_rate == own_rate:
        return sound
    import soxr

    converted: Waveform = soxr.resample(sound, own_rate, sample_rate, quality="VHQ").astype(np.float32)
    return converted


def _faded(sound: Waveform, length: int) -> Waveform:
    """The sound with its first and last ``length`` samples ramped: a cut in the middle of a sound would click."""
    ramp = np.linspace(0, 1, min(length, len(sound) // 2), endpoint=False, dtype=np.float32)
    faded = sound.copy()
    faded[: len(ramp)] *= ramp
    faded[len(faded) - len(ramp) :] *= ramp[::-1]
    return faded


def _make_room(whole: Waveform, start: int, stop: int, length: int) -> None:
    """Silence ``whole`` from ``start`` to ``stop``, ramped within the ``length`` samples inside both ends."""
    ramp = np.linspace(1, 0, min(length, (stop - start) // 2), dtype=np.float32)
    gate = np.zeros(stop - start, np.float32)
    gate[: len(ramp)] = ramp
    gate[len(gate) - len(ramp) :] = ramp[::-1]
    whole[start:stop] *= gate
