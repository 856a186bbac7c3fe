"""The cepstra that SyncNet hears: ``mfcc`` of the package python_speech_features 0.6 with its defaults, at 16 kHz.

Windows of 400 samples every 160 without a taper, on the signal after :math:`y_n = x_n - 0.97 x_{n-1}`; the power of a
DFT of 512 points, over 512; 26 triangles equally far apart in mel (2595 log10(1 + f / 700)) from 0 to 8 kHz, their
corners cut to whole bins; logarithms; a DCT of which 13 are kept, lifted by :math:`1 + 11 \\sin (\\pi n / 22)`; and the
first replaced by the logarithm of the window's whole power. Samples are 16-bit numbers: level is heard.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.recogniser import SAMPLE_RATE, checked_waveform

WINDOW, HOP = 400, 160
COEFFICIENTS = 13
_DFT = 512
_TRIANGLES = 26
_EMPHASIS = 0.97
_LIFT = 22
_FULL_SCALE = 32768

Floats = NDArray[np.float64]


def mfcc(samples: NDArray[np.int16]) -> Floats:
    """``[frames, 13]`` of 16-bit samples ``[N]``: 1 + ceil((N - 400) / 160) windows, the last filled with zeros.

    Raises:
        BadInput: ``judging.nothing_to_judge`` without a sample.
    """
    from scipy.fft import dct

    if not samples.size:
        raise BadInput("judging.nothing_to_judge", "The recording has no samples.", "Give some.")
    signal = samples.astype(np.float64)
    signal[1:] -= _EMPHASIS * signal[:-1].copy()
    frames = 1 + max(0, -(-(signal.size - WINDOW) // HOP))
    padded = np.pad(signal, (0, (frames - 1) * HOP + WINDOW - signal.size))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.square(np.abs(np.fft.rfft(windows, _DFT))) / _DFT
    cepstra: Floats = dct(_log(power @ triangles().T), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstra *= 1 + _LIFT / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / _LIFT)
    cepstra[:, 0] = _log(power.sum(axis=1))
    return cepstra


def sixteen_bits(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """A waveform ``[N]`` in -1..1 as the file that the public script reads would hold it; beyond full scale is cut.

    Raises:
        BadInput: ``judging.bad_waveform``.
    """
    scaled = np.rint(checked_waveform(waveform) * _FULL_SCALE)
    samples: NDArray[np.int16] = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return samples


@cache
def triangles() -> Floats:
    """The filters ``[26, 257]``."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    corners_hz = 700 * (10 ** (np.linspace(0, top, _TRIANGLES + 2) / 2595) - 1)
    corners = np.floor((_DFT + 1) * corners_hz / SAMPLE_RATE)
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    bins = np.arange(_DFT // 2 + 1)
    rising = np.where((bins >= left) & (bins < middle), (bins - left) / (middle - left), 0.0)
    falling = np.where((bins >= middle) & (bins < right), (right - bins) / (right - middle), 0.0)
    filters: Floats = rising + falling
    filters.flags.writeable = False  # shared by every later call
    return filters


def _log(power: Floats) -> Floats:
    logarithms: Floats = np.log(np.where(power == 0, np.finfo(float).eps, power))
    return logarithms
