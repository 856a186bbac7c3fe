"""Int-Corr: whether a dub is loud and quiet when the original is.

JUST-DUB-IT (section 4, after Chung et al., 2024): Pearson's correlation of the two recordings' RMS envelopes. Window,
hop and what happens to unequal lengths are not said there; here 1,024 and 256 samples at 16 kHz, centred, and the
longer envelope is resampled to the length of the shorter (in straight lines), so that it compares courses, not clocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.correlation import correlation
from dubflow.judging.recogniser import checked_waveform

WINDOW = 1024
HOP = 256
_FEWEST = 3


def rms_envelope(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """Root mean square ``[1 + N // 256]`` around every 256th sample of ``[N]``; zeros outside the recording.

    Raises:
        BadInput: ``judging.bad_waveform``.
    """
    audio = checked_waveform(waveform)
    padded = np.concatenate([np.zeros(WINDOW // 2 + 1), np.square(audio), np.zeros(WINDOW)])
    total = np.cumsum(padded)
    starts = HOP * np.arange(1 + audio.size // HOP)
    envelope: NDArray[np.float64] = np.sqrt(np.maximum(total[starts + WINDOW] - total[starts], 0.0) / WINDOW)
    return envelope


def intensity_correlation(reference: NDArray[np.float32], generated: NDArray[np.float32]) -> float | None:
    """Pearson's correlation, -1 to 1, of the envelopes of 16 kHz mono waveforms ``[N]``, ``[M]``.

    None where either is as loud all the time (silence).

    Raises:
        BadInput: ``judging.bad_waveform``, ``judging.too_short`` with fewer than 3 envelope values.
    """
    first, second = rms_envelope(reference), rms_envelope(generated)
    length = min(first.size, second.size)
    if length < _FEWEST:
        raise BadInput("judging.too_short", "The recording is too short to have a course.", f"Give {3 * HOP} samples.")
    return correlation(_resampled(first, length), _resampled(second, length))


def _resampled(envelope: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    if envelope.size == length:
        return envelope
    return np.interp(np.linspace(0, envelope.size - 1, length), np.arange(envelope.size), envelope)
