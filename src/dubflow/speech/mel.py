r"""Log-mel spectrograms on the codecs' grid: what a picture of speech shows.

A frame of 50 ms around the middle of every codec token (one each 12.5 ms at 16 kHz), Hann window w, and 80 triangular
filters that are evenly spaced on the mel scale :math:`m = 2595 \log_{10}(1 + f / 700)` from 0 to 8000 Hz. The scale is
dB of full scale, as in :mod:`dubflow.speech.prosody`: the one-sided power

.. math:: P_k = \frac{2\,|X_k|^2}{N \sum_n w_n^2}

sums to the mean square of the windowed signal (Parseval), and the filters, which have height 1 and overlap by half, sum
to 1 between the first and the last centre. So a full-scale sine has -3 dB over all bins together.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.speech.durations import SAMPLE_RATE, SAMPLES_PER_TOKEN

MEL_BINS = 80
FLOOR_DB = -100.0
_WINDOW = 800
_FFT = 1024


def log_mel(waveform: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float32]:
    """Log-mel spectrogram of 16 kHz mono speech.

    Args:
        waveform: ``[N]`` floats in -1..1.

    Returns:
        ``[80, L]`` float32 in dB of full scale, at least -100; ``L = ceil(N / 200)``. Outside the waveform is silence.

    Raises:
        BadInput: ``speech.bad_waveform`` for what is not finite mono audio in floats.
    """
    audio = np.asarray(waveform)
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating) or not np.isfinite(audio).all():
        raise BadInput(
            "speech.bad_waveform",
            f"A spectrogram needs finite mono audio in floats, not {audio.dtype} {list(audio.shape)}.",
            "Scale integers to -1..1 and average the channels.",
        )
    frames = -(-audio.size // SAMPLES_PER_TOKEN)
    if frames == 0:
        return np.zeros((MEL_BINS, 0), np.float32)
    # The middle of token i is sample 200 i + 100; its window begins half a window earlier.
    before = (_WINDOW - SAMPLES_PER_TOKEN) // 2
    behind = (frames - 1) * SAMPLES_PER_TOKEN + _WINDOW - before - audio.size
    padded = np.pad(audio.astype(np.float64), (before, behind))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::SAMPLES_PER_TOKEN]
    shape = _hann()
    power = np.abs(np.fft.rfft(windows * shape, _FFT)) ** 2 * (2.0 / (_FFT * np.square(shape).sum()))
    power[:, [0, -1]] /= 2  # these two stand alone, all others for a pair
    level = 10.0 * np.log10(np.maximum(power @ _filters().T, 10.0 ** (FLOOR_DB / 10.0)))
    return np.ascontiguousarray(level.T, dtype=np.float32)


def mel_centres() -> NDArray[np.float64]:
    """Frequency in Hz at which each of the 80 filters is 1, ascending."""
    return _corners()[1:-1]


def hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mel scale of O'Shaughnessy (1987)."""
    mel: NDArray[np.float64] = 2595.0 * np.log10(1.0 + hz / 700.0)
    return mel


def _corners() -> NDArray[np.float64]:
    """The 82 frequencies between which the filters rise and fall, Hz."""
    top = hz_to_mel(np.array(SAMPLE_RATE / 2))
    hz: NDArray[np.float64] = 700.0 * (10.0 ** (np.linspace(0.0, top, MEL_BINS + 2) / 2595.0) - 1.0)
    return hz


@cache
def _hann() -> NDArray[np.float64]:
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)  # periodic
    window.setflags(write=False)
    return window


@cache
def _filters() -> NDArray[np.float64]:
    """``[80, 513]``; the lowest filters are 1.4 transform bins wide on either side, so none is empty."""
    corners, grid = _corners(), np.fft.rfftfreq(_FFT, 1.0 / SAMPLE_RATE)
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    filters = np.maximum(0.0, np.minimum((grid - low) / (centre - low), (high - grid) / (high - centre)))
    filters.setflags(write=False)
    return filters
