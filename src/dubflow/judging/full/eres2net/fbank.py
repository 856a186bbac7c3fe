"""Log-mel energies as Kaldi computes them, which 3D-Speaker's networks were trained on.

Frames of 25 ms every 10 ms, only whole ones; each without its mean, pre-emphasised by 0.97 (its first sample against
itself), under Povey's window (a Hann window to the power 0.85); power spectrum of 512 points; triangles of equal width
on the mel scale ``1127 ln(1 + f / 700)`` from 20 Hz to half the rate; natural logarithm, not below that of float32's
epsilon. No dither. Samples are in -1..1 as 3D-Speaker gives them (Kaldi's own files hold 16-bit values, which only adds
a constant away from the floor).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dubflow.judging.recogniser import SAMPLE_RATE

WINDOW = SAMPLE_RATE * 25 // 1000
SHIFT = SAMPLE_RATE * 10 // 1000
POINTS = 512
BANDS = 80
PRE_EMPHASIS = 0.97
LOWEST_HZ = 20.0
FLOOR = float(np.finfo(np.float32).eps)


def kaldi_fbank(waveform: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Log-mel energies ``[frames, 80]`` of a 16 kHz mono waveform ``[N]`` in -1..1, ``1 + (N - 400) // 160`` frames;
    none below 400 samples."""
    audio = np.asarray(waveform, dtype=np.float64)
    if audio.size < WINDOW:
        return np.zeros((0, BANDS), np.float32)
    frames = sliding_window_view(audio, WINDOW)[::SHIFT]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate((frames[:, :1], frames[:, :-1]), axis=1)
    power = np.abs(np.fft.rfft((frames - PRE_EMPHASIS * before) * _window(), POINTS)) ** 2
    energies = np.maximum(power @ _triangles(), FLOOR)
    features: NDArray[np.float32] = np.log(energies).astype(np.float32)
    return features


@cache
def _window() -> NDArray[np.float64]:
    window: NDArray[np.float64] = np.hanning(WINDOW) ** 0.85
    return window


@cache
def _triangles() -> NDArray[np.float64]:
    """Weights ``[257, 80]`` of the power spectrum's points."""
    mels = _mel(np.arange(POINTS // 2 + 1) * SAMPLE_RATE / POINTS)
    lowest, highest = _mel(np.array([LOWEST_HZ, SAMPLE_RATE / 2]))
    corners = np.linspace(lowest, highest, BANDS + 2)
    width = corners[1] - corners[0]
    rising, falling = (mels[:, None] - corners[:-2]) / width, (corners[2:] - mels[:, None]) / width
    weights: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return weights


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    mels: NDArray[np.float64] = 1127.0 * np.log1p(hertz / 700.0)
    return mels
