"""The ways of spoiling: what becomes of a clip's samples or frames. Pure functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import missing_extra
from dubflow.faces.frames import Picture

Wave = NDArray[np.float32]
BLUR = 0.03
"""Standard deviation of the blur, of the frame's height."""
DARK = 0.35
"""Share of the light that is left."""


def fitted(sound: Wave, samples: int) -> Wave:
    """``sound`` ``[n]`` cut, or filled up with silence, to ``samples``."""
    return np.pad(sound[:samples], (0, max(0, samples - sound.size)))


def shifted(sound: Wave, samples: int) -> Wave:
    """As long as before, ``samples`` later (earlier where negative); what comes in from the edge is silence."""
    late = np.zeros_like(sound)
    if abs(samples) >= sound.size:
        return late
    if samples >= 0:
        late[samples:] = sound[: sound.size - samples]
    else:
        late[:samples] = sound[-samples:]
    return late


def noisy(sound: Wave, snr_db: float, seed: int) -> Wave:
    """With white noise, ``snr_db`` below the power of the whole clip; turned down together where it would clip.

    The same seed gives the same noise at every level.
    """
    noise = np.random.default_rng(seed).standard_normal(sound.size)
    level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) * 10 ** (-snr_db / 20)
    mixed = sound + level * noise
    return (mixed / max(1.0, float(np.abs(mixed).max(initial=0.0)))).astype(np.float32)


def repeated(frames: Picture, count: int) -> Picture:
    """``count`` frames: those there are, then the same backwards, and so on, so that nothing jumps."""
    there = len(frames)
    circle = np.concatenate([np.arange(there), np.arange(there - 2, 0, -1)]) if there > 1 else np.zeros(1, np.int64)
    return np.take(frames, np.resize(circle, count), axis=0)


def frozen(frames: Picture) -> Picture:
    """The first frame, all the time."""
    return np.repeat(frames[:1], len(frames), axis=0)


def darkened(frames: Picture) -> Picture:
    """With :data:`DARK` of the light."""
    dark: Picture = np.rint(frames * DARK).astype(np.uint8)
    return dark


def blurred(frames: Picture) -> Picture:
    """Out of focus: a Gaussian of :data:`BLUR` of the height.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    try:
        import cv2
    except ImportError as error:
        raise missing_extra("cv2") from error
    spread = BLUR * frames.shape[1]
    return np.stack([np.asarray(cv2.GaussianBlur(frame, (0, 0), spread), np.uint8) for frame in frames])
