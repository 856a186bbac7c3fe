"""What a face does besides speaking: brows, head and jaw follow the voice; eyes blink and wander; the head drifts.

Raised brows go with raised pitch and head and jaw movements with loudness in real speakers (Cavé et al. 1996; Yehia,
Kuratate, Vatikiotis-Bateson 2002); here the link is explicit and every person has a rest pose and a liveliness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dubflow.speech.intervals import Interval

Curve = npt.NDArray[np.float64]

_SEMITONES_FOR_FULL_BROW: Final = 6.0
_LOUD_RANGE_DB: Final = 24.0
_BLINK: Final = (0.35, 1.0, 0.95, 0.5, 0.15)  # lid position in the frames of one blink, 0.2 s


@dataclass(frozen=True)
class Prosody:
    """The voice at each frame.

    Attributes:
        melody: semitones above the speaker's median of the clip, smoothed, 0 where nobody speaks, ``[F]``.
        loudness: 0 (24 dB below the loudest, or silence) to 1, smoothed, ``[F]``.
    """

    melody: Curve
    loudness: Curve

    @classmethod
    def silent(cls, frames: int) -> Prosody:
        """A voice that says nothing."""
        return cls(np.zeros(frames), np.zeros(frames))

    @classmethod
    def from_voice(cls, f0: Curve, decibels: Curve, speaking: npt.NDArray[np.bool_]) -> Prosody:
        """From pitch (Hz, 0 where unvoiced), level (dB) and whether the person speaks, each ``[F]``."""
        voiced = (f0 > 0) & speaking
        if not voiced.any():
            return cls.silent(len(f0))
        index = np.arange(len(f0))
        semitones = 12.0 * np.log2(f0[voiced] / np.median(f0[voiced]))
        # Octave errors of the tracker are no melody.
        semitones = np.clip(semitones, -9.0, 9.0)
        while_speaking: Curve = speaking.astype(np.float64)
        melody: Curve = np.interp(index, index[voiced], semitones) * while_speaking
        top = float(decibels[speaking].max())
        loudness: Curve = np.clip(1.0 + (decibels - top) / _LOUD_RANGE_DB, 0.0, 1.0) * while_speaking
        return cls(smoothed(melody, 1.5), smoothed(loudness, 1.2))


@dataclass(frozen=True)
class Temperament:
    """A person's habits; the same in all clips."""

    liveliness: float
    brow_rest: float
    smile: float
    tilt: float
    blink_every_s: float
    nod: float

    @classmethod
    def from_seed(cls, seed: int) -> Temperament:
        """The habits of a seed."""
        rng = np.random.default_rng([seed, 0x7E])
        return cls(
            liveliness=float(rng.uniform(0.85, 1.15)),
            brow_rest=float(rng.uniform(-0.12, 0.12)),
            smile=float(rng.uniform(-0.01, 0.05)),
            tilt=float(rng.uniform(-0.035, 0.035)),
            blink_every_s=float(rng.uniform(2.2, 4.8)),
            nod=float(rng.uniform(0.6, 1.2)),
        )


@dataclass(frozen=True)
class FaceMotion:
    """Everything in a pose that is not the mouth; every array ``[F]``, in the units of ``talkers.pose.Pose``.

    ``jaw_gain`` multiplies the mouth's opening: about 0.75 in the quietest, 1.2 in the loudest speech.
    """

    jaw_gain: Curve
    brow_raise: Curve
    brow_frown: Curve
    blink: Curve
    gaze_x: Curve
    gaze_y: Curve
    dx: Curve
    dy: Curve
    roll: Curve
    yaw: Curve
    pitch: Curve
    scale: Curve


def face_motion(prosody: Prosody, temperament: Temperament, seed: int, fps: float = 25.0) -> FaceMotion:
    """The motion of a face through a clip: same voice, person and seed, same motion."""
    frames = len(prosody.melody)
    rng = np.random.default_rng([seed, 0x307])
    times = np.arange(frames) / fps
    accent = prosody.loudness - smoothed(prosody.loudness, 8.0)
    # Brows go up further than down: the fall at a sentence's end lowers them, but nobody frowns at every full stop.
    bent = np.where(prosody.melody > 0, prosody.melody, 0.45 * prosody.melody)
    brows = temperament.liveliness * 0.8 * bent / _SEMITONES_FOR_FULL_BROW
    nod = temperament.nod * temperament.liveliness * 0.10 * delayed(accent, 1)
    return FaceMotion(
        jaw_gain=0.75 + 0.45 * prosody.loudness,
        brow_raise=temperament.brow_rest + brows + 0.04 * _drift(rng, times),
        brow_frown=np.clip(0.18 * accent + 0.05 * _drift(rng, times), 0.0, 1.0),
        blink=_blinks(rng, frames, temperament.blink_every_s * fps),
        gaze_x=_glances(rng, frames, fps, 0.25),
        gaze_y=_glances(rng, frames, fps, 0.12),
        dx=0.012 * _drift(rng, times),
        dy=0.008 * _drift(rng, times) + 0.06 * nod,
        roll=temperament.tilt + 0.03 * _drift(rng, times),
        yaw=0.09 * _drift(rng, times),
        pitch=0.04 * _drift(rng, times) - nod,
        scale=1.0 + 0.012 * _drift(rng, times),
    )


def speaking_frames(phones: Sequence[Interval], times: Curve, pause_s: float = 0.2) -> npt.NDArray[np.bool_]:
    """Whether somebody speaks at each time ``[T]``; pauses shorter than ``pause_s`` belong to the speech."""
    speaking = np.zeros(len(times), dtype=bool)
    for phone in phones:
        if phone.label or phone.duration < pause_s:
            speaking |= (times >= phone.start) & (times < phone.end)
    return speaking


def smoothed(curve: Curve, frames: float) -> Curve:
    """``curve`` under a Gaussian of standard deviation ``frames``; its ends are held."""
    reach = max(1, int(np.ceil(3 * frames)))
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    padded = np.pad(curve, reach, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


def delayed(curve: Curve, frames: int) -> Curve:
    """``curve`` later by ``frames``; its first value is held."""
    return np.concatenate([np.full(frames, curve[0]), curve[: len(curve) - frames]]) if len(curve) > frames else curve


def _drift(rng: np.random.Generator, times: Curve) -> Curve:
    """A slow wander without jumps, about -1 to 1: three sines with random phases between 0.08 and 0.7 Hz."""
    rates = rng.uniform((0.08, 0.2, 0.4), (0.2, 0.4, 0.7))
    phases = rng.uniform(0.0, 2 * np.pi, 3)
    return np.asarray(np.sin(2 * np.pi * np.outer(times, rates) + phases) @ np.array([0.55, 0.3, 0.15]))


def _blinks(rng: np.random.Generator, frames: int, every: float) -> Curve:
    """Lid positions: blinks at irregular distances of ``every`` frames on average, none before the fourth frame."""
    lids = np.zeros(frames)
    start = 4 + int(rng.uniform(0.0, every))
    while start < frames:
        shown = min(len(_BLINK), frames - start)
        lids[start : start + shown] = np.maximum(lids[start : start + shown], _BLINK[:shown])
        start += len(_BLINK) + int(every * rng.uniform(0.5, 1.5))
    return lids


def _glances(rng: np.random.Generator, frames: int, fps: float, reach: float) -> Curve:
    """Where the eyes look along one axis: at us, with a short glance aside now and then."""
    gaze = np.zeros(frames)
    start = int(rng.uniform(0.5, 3.0) * fps)
    while start < frames:
        length = int(rng.uniform(0.3, 0.9) * fps)
        gaze[start : start + length] = rng.uniform(-reach, reach)
        start += length + int(rng.uniform(1.0, 4.0) * fps)
    return smoothed(gaze, 0.6)
