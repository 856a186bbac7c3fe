"""Other talkers and worse recordings than the corpus has, so that the recogniser hears words and not voices.

Speech is played faster or slower (and so higher or lower), its spectrum tilted and cut, noise laid under it; in the
spectrogram the frequency axis is stretched a little (vocal tract length perturbation: Jaitly and Hinton, 2013) and
stripes are left out (SpecAugment: Park et al., 2019). No codec and no vocoder takes part: the judge is not made used
to what the systems do that it judges.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from dubflow.judging.recogniser import SAMPLE_RATE

Wave = NDArray[np.float32]

_SPEEDS = (0.85, 1.18)
_SNR_DB = (3.0, 35.0)
_POINTS = 4096


def changed_speed(waveform: Wave, rng: np.random.Generator) -> tuple[Wave, float]:
    """The waveform played ``speed`` times as fast, and the speed; three of ten are left as they are."""
    if rng.random() < 0.3:
        return waveform, 1.0
    speed = float(rng.uniform(*_SPEEDS))
    return soxr.resample(waveform, SAMPLE_RATE * speed, SAMPLE_RATE, quality="MQ").astype(np.float32), speed


def changed_sound(waveform: Wave, rng: np.random.Generator) -> Wave:
    """Another spectrum, and often noise. Level is of no matter: the recogniser takes it out."""
    points = _points(waveform.size)
    spectrum = np.fft.rfft(waveform, points)
    hz = np.fft.rfftfreq(points, 1 / SAMPLE_RATE)
    if rng.random() < 0.7:
        spectrum *= _curve(hz, rng)
    if rng.random() < 0.35:
        spectrum *= _band(hz, rng)
    heard = np.fft.irfft(spectrum, points)[: waveform.size]
    if rng.random() < 0.5:
        level = float(np.sqrt(np.square(heard).mean())) or 1e-3
        heard = heard + noise(waveform.size, rng) * level * 10 ** (-rng.uniform(*_SNR_DB) / 20)
    return heard.astype(np.float32)


def noise(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of power 1 whose spectrum falls somewhere between white and brown."""
    points = _points(samples)
    hz = np.fft.rfftfreq(points, 1 / SAMPLE_RATE)
    spectrum = rng.standard_normal(hz.size) + 1j * rng.standard_normal(hz.size)
    made = np.fft.irfft(spectrum / np.maximum(hz, 50.0) ** rng.uniform(0.0, 1.0), points)[:samples]
    unit: NDArray[np.float64] = made / max(float(np.sqrt(np.square(made).mean())), 1e-12)
    return unit


def nothing_said(samples: int, rng: np.random.Generator) -> Wave:
    """Silence, or noise of any level: what holds no phone."""
    level = 0.0 if rng.random() < 0.3 else 10 ** (-rng.uniform(10, 90) / 20)
    return (noise(samples, rng) * level).astype(np.float32)


def changed_picture(
    spectrogram: NDArray[np.float32], rng: np.random.Generator, stretches: tuple[float, float]
) -> NDArray[np.float32]:
    """``[80, T]`` changed at random.

    Six of ten have their frequency axis stretched between ``stretches``; up to two stripes of each kind are left out.
    """
    bins, frames = spectrogram.shape
    if rng.random() < 0.6:
        at = np.arange(bins) * rng.uniform(*stretches)
        low = np.minimum(at.astype(int), bins - 2)
        share = np.clip(at - low, 0.0, 1.0)[:, None].astype(np.float32)
        spectrogram = (1 - share) * spectrogram[low] + share * spectrogram[low + 1]
    seen = spectrogram.copy()
    for _ in range(rng.integers(0, 3)):
        first, width = rng.integers(0, bins), rng.integers(1, 9)
        seen[first : first + width] = seen.mean()
    for _ in range(rng.integers(0, 3)):
        first, width = rng.integers(0, frames), rng.integers(1, 5)
        seen[:, first : first + width] = seen.mean()
    return seen


def _points(samples: int) -> int:
    """A length of transform that has small factors only; that of a prime number takes ten times as long."""
    return max(1, -(-samples // _POINTS)) * _POINTS


def _curve(hz: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A gain that bends by up to about 8 dB between a few frequencies."""
    knots = np.array([0.0, 300.0, 800.0, 1600.0, 3000.0, 5000.0, SAMPLE_RATE / 2])
    gain: NDArray[np.float64] = 10 ** (np.interp(hz, knots, rng.normal(0.0, 4.0, knots.size)) / 20)
    return gain


def _band(hz: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """What a telephone, a small loudspeaker or a poor microphone leaves."""
    low, high = rng.uniform(50, 350), rng.uniform(3200, 7500)
    kept: NDArray[np.float64] = 1 / ((1 + (low / np.maximum(hz, 1.0)) ** 4) * (1 + (hz / high) ** 8))
    return kept
