"""How good a judge of synchrony is: clips with their sound as it is, moved, and replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.phone_judge.augmentation import noise
from dubflow.judging.sync_judge.crops import SAMPLES_PER_FRAME
from dubflow.judging.sync_judge.encoder import SmallSync
from dubflow.judging.sync_judge.material import SyncClip
from dubflow.judging.syncnet import SyncScore, sync_score

Wave = NDArray[np.float32]
SHIFTS = (-10, -7, -4, -2, -1, 0, 1, 2, 4, 7, 10)
"""Frames by which the sound is made late."""
CONDITIONS = ("true", "late_2", "late_6", "other_words", "other_speaker", "noise", "silence")


@dataclass(frozen=True)
class Accuracy:
    """Over clips and shifts: shares whose offset is exactly right and right within one frame, and within three; and the
    median of what is found where nothing was moved."""

    cases: int
    exact: float
    within_one: float
    within_three: float
    own_offset: float


@dataclass(frozen=True)
class ConditionScores:
    """Means over clips, and the share of the clips in which each figure is worse than with the true sound."""

    confidence: float
    distance: float
    less_confident: float
    farther: float


def moved(waveform: Wave, late: int) -> Wave:
    """The sound ``late`` frames later (earlier where negative), silence around it, as long as it was."""
    samples = late * SAMPLES_PER_FRAME
    if late >= 0:
        return np.pad(waveform, (samples, 0))[: waveform.size]
    return np.pad(waveform[-samples:], (0, min(-samples, waveform.size)))


def accuracy(judge: SmallSync, clips: Sequence[SyncClip], shifts: Sequence[int] = SHIFTS, *, own: int = 0) -> Accuracy:
    """Whether the offset follows a sound that is moved.

    Args:
        own: frames by which the sound is ahead in the clips as they are.

    Raises:
        BadInput: ``judging.nothing_to_judge`` without clips.
    """
    _some(clips)
    wrong: list[int] = []
    unmoved: list[int] = []
    for clip in clips:
        score = _scorer(judge, clip)
        found = {late: score(moved(clip.waveform, late)).offset for late in {*shifts, 0}}
        unmoved.append(found[0])
        wrong += [abs(found[late] + late - own) for late in shifts]
    off = np.array(wrong)
    exact, within_one, within_three = (float((off <= most).mean()) for most in (0, 1, 3))
    return Accuracy(off.size, exact, within_one, within_three, float(np.median(unmoved)))


def conditions(judge: SmallSync, clips: Sequence[SyncClip], *, seed: int = 0) -> dict[str, ConditionScores]:
    """Figures for each of :data:`CONDITIONS`; without those of another clip where there is no such clip.

    Raises:
        BadInput: ``judging.nothing_to_judge`` without clips.
    """
    _some(clips)
    scored: dict[str, list[tuple[SyncScore, SyncScore]]] = {name: [] for name in CONDITIONS}
    for index, clip in enumerate(clips):
        rng = np.random.default_rng([seed, index])
        sounds = {
            "true": clip.waveform,
            "late_2": moved(clip.waveform, 2),
            "late_6": moved(clip.waveform, 6),
            "other_words": _another(clips, index, same=True),
            "other_speaker": _another(clips, index, same=False),
            "noise": (noise(clip.waveform.size, rng) * 0.05).astype(np.float32),
            "silence": np.zeros_like(clip.waveform),
        }
        score = _scorer(judge, clip)
        true = score(clip.waveform)
        for name, sound in sounds.items():
            if sound is not None:
                scored[name].append((score(sound), true))
    return {
        name: ConditionScores(
            confidence=float(np.mean([one.confidence for one, _ in pairs])),
            distance=float(np.mean([one.distance for one, _ in pairs])),
            less_confident=float(np.mean([one.confidence < true.confidence for one, true in pairs])),
            farther=float(np.mean([one.distance > true.distance for one, true in pairs])),
        )
        for name, pairs in scored.items()
        if pairs
    }


def _scorer(judge: SmallSync, clip: SyncClip) -> Callable[[Wave], SyncScore]:
    """Scores sounds against the clip's mouths, which are looked at once."""
    video = judge.see(clip.crops)
    return lambda sound: sync_score(video, judge.hear(sound, len(clip.crops)))


def _another(clips: Sequence[SyncClip], index: int, *, same: bool) -> Wave | None:
    """Sound of the next clip of the same speaker, or of another one."""
    own = clips[index]
    others = (clips[(index + step) % len(clips)] for step in range(1, len(clips)))
    return next((other.waveform for other in others if (other.speaker == own.speaker) == same), None)


def _some(clips: Sequence[SyncClip]) -> None:
    if not clips:
        raise BadInput("judging.nothing_to_judge", "There is no clip to measure the judge on.", "Give some.")
