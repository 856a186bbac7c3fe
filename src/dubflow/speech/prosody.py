"""Pitch and energy of speech at the times someone asks for.

Pitch is WORLD's: DIO candidates (Morise, Kawahara and Katayose, 2009) refined by StoneMask (Morise, Yokomori and Ozawa,
2016), on a 16 kHz signal in steps of 5 ms.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

from dubflow.errors import BadInput, missing_extra

ANALYSIS_RATE = 16_000
STEP_S = 0.005
LOWEST_HZ = 60.0
HIGHEST_HZ = 600.0
SILENCE_DB = -80.0
_SHORTEST_S = 0.1


@dataclass(frozen=True, eq=False)
class Pitch:
    """Fundamental frequency at the times asked for.

    Attributes:
        hz: float64 ``[n]``, 0 where unvoiced. voiced: bool ``[n]``.
    """

    hz: NDArray[np.float64]
    voiced: NDArray[np.bool_]

    def continuous(self) -> NDArray[np.float64]:
        """``hz`` with the unvoiced stretches bridged along the logarithm; all zeros when nothing is voiced."""
        if not self.voiced.any():
            return np.zeros_like(self.hz)
        known = np.flatnonzero(self.voiced)
        bridged = np.exp(np.interp(np.arange(self.hz.size), known, np.log(self.hz[known])))
        return np.where(self.voiced, self.hz, bridged)


def pitch(
    waveform: NDArray[np.float32] | NDArray[np.float64],
    sample_rate: int,
    times: ArrayLike,
    *,
    lowest_hz: float = LOWEST_HZ,
    highest_hz: float = HIGHEST_HZ,
) -> Pitch:
    """Pitch of ``waveform`` (``[N]``, mono) at ``times`` (``[n]`` seconds); outside the audio nothing is voiced.

    Raises:
        BadInput: ``speech.bad_waveform``, ``speech.bad_times``.
        WrongUse: ``install.missing_extra``.
    """
    try:
        with warnings.catch_warnings():
            # It asks setuptools for its own version and is scolded for that on every start.
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
            import pyworld
    except ImportError as error:
        raise missing_extra("pyworld") from error
    audio, wanted = _checked(waveform, sample_rate, times)
    duration = audio.size / sample_rate
    if sample_rate != ANALYSIS_RATE:
        audio = soxr.resample(audio, sample_rate, ANALYSIS_RATE)
    # WORLD's filters need a few periods of signal even to find nothing.
    audio = np.pad(audio, (0, max(0, round(_SHORTEST_S * ANALYSIS_RATE) - audio.size)))
    rough, steps = pyworld.dio(audio, ANALYSIS_RATE, f0_floor=lowest_hz, f0_ceil=highest_hz, frame_period=1000 * STEP_S)
    contour = pyworld.stonemask(audio, rough, steps, ANALYSIS_RATE)
    index = np.clip(np.rint(wanted / STEP_S).astype(np.int64), 0, contour.size - 1)
    hz = np.where((wanted >= 0) & (wanted < duration), contour[index], 0.0)
    hz = np.where((hz >= lowest_hz) & (hz <= highest_hz), hz, 0.0)
    return Pitch(hz=hz, voiced=hz > 0)


def energy(
    waveform: NDArray[np.float32] | NDArray[np.float64], sample_rate: int, times: ArrayLike, *, window_s: float = 0.04
) -> NDArray[np.float64]:
    """Level at ``times`` (``[n]`` seconds) in dB of full scale: the mean square in a window around each time.

    A full-scale sine has -3 dB; silence, and whatever lies outside the audio, -80 dB.

    Raises:
        BadInput: ``speech.bad_waveform``, ``speech.bad_times``.
    """
    audio, wanted = _checked(waveform, sample_rate, times)
    total = np.concatenate([[0.0], np.cumsum(np.square(audio))])
    centre = np.rint(wanted * sample_rate)
    half = max(1, round(window_s * sample_rate / 2))
    low = np.clip(centre - half, 0, audio.size).astype(np.int64)
    high = np.clip(centre + half, 0, audio.size).astype(np.int64)
    mean_square = (total[high] - total[low]) / (2 * half)
    floor = 10.0 ** (SILENCE_DB / 10)
    level: NDArray[np.float64] = 10 * np.log10(np.maximum(mean_square, floor))
    return level


def _checked(
    waveform: NDArray[np.float32] | NDArray[np.float64], sample_rate: int, times: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    audio = np.asarray(waveform, dtype=np.float64)
    if audio.ndim != 1 or not np.isfinite(audio).all() or sample_rate <= 0:
        raise BadInput("speech.bad_waveform", f"Prosody needs finite mono audio, not an array {list(audio.shape)}.")
    wanted = np.asarray(times, dtype=np.float64)
    if wanted.ndim != 1 or not np.isfinite(wanted).all():
        raise BadInput("speech.bad_times", "The times to sample prosody at must be a list of finite seconds.")
    return audio, wanted
