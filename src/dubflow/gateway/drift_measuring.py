"""What is measured of a clip for drift, the same way live and over a training corpus.

``speaker``
    How far the reference voice is from the nearest voice of the training: the mean and deviation of its log-mel
    spectrum over speech, level taken out, in units of how far recordings of one speaker lie apart (root mean square).
``length_ratio``
    Seconds that the text asks for (phones times the mean phone of the training) over seconds that it has.
``noise_db``
    Level of loud moments (95th percentile of 20 ms) over that of quiet ones (10th), at most 80 dB: like an SNR.
``face_size``
    Height of the main face over the height of the picture, median of a few frames.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import DubflowError
from dubflow.gateway.drift import NUMBERS, Distribution, DriftReference, Measured
from dubflow.media.decode import stream_frames
from dubflow.speech.durations import SAMPLE_RATE
from dubflow.speech.mel import log_mel

_WINDOW = SAMPLE_RATE // 50
_MOST_DB = 80.0
_BELOW_LOUD_DB = 30.0
_HEARD_DB = 60.0
_BANDS = 20
_FRAMES = 5
_FPS = 5
_LEAST_SPREAD = 0.25


@dataclass(frozen=True, eq=False)
class Sample:
    """One clip of a corpus that becomes a reference: its speaker and language, sound, phones, and face."""

    speaker: str
    language: str
    waveform: NDArray[np.float32]
    phones: int
    face_size: float | None


def sound_of(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """A voice in 40 numbers: mean and deviation of 20 bands (4 mel bins each) over speech, in dB, level taken out."""
    # At one level, and cut off below what is heard beside the rest: else the spectrogram's floor tells loud from soft.
    peak = float(np.abs(waveform).max(initial=0.0))
    mel = log_mel(waveform / peak if peak > 0 else waveform).astype(np.float64)
    bands = mel.reshape(_BANDS, -1, mel.shape[1]).mean(axis=1)
    level = bands.max(axis=0)
    spoken = bands[:, level > level.max() - _BELOW_LOUD_DB]
    spoken = np.maximum(spoken, spoken.max() - _HEARD_DB)
    spoken = spoken - spoken.mean(axis=0)
    return np.concatenate([spoken.mean(axis=1), spoken.std(axis=1)])


def noise_of(waveform: NDArray[np.float32]) -> float | None:
    """Loud over quiet in dB; None for less than a second."""
    whole = len(waveform) // _WINDOW * _WINDOW
    if whole < SAMPLE_RATE:
        return None
    power = np.mean(np.square(waveform[:whole].reshape(-1, _WINDOW), dtype=np.float64), axis=1)
    loud, quiet = np.percentile(power, 95), np.percentile(power, 10)
    return float(min(_MOST_DB, 10 * np.log10(max(loud, 1e-12) / max(quiet, 1e-12 * max(1.0, loud)))))


def face_of(clip: Path) -> float | None:
    """Height of the main face over that of the picture in the first frames; None where none is found."""
    from dubflow.faces.landmarks import MediaPipeLandmarker

    frames: list[NDArray[np.uint8]] = []
    for chunk in stream_frames(clip, _FPS):
        frames.extend(chunk[: _FRAMES - len(frames)])
        if len(frames) >= _FRAMES:
            break
    tracks = MediaPipeLandmarker().landmarks(frames)
    if not tracks.tracks or not tracks.main.height:
        return None
    return tracks.main.height / tracks.frame_size[0]


def speaker_distance(reference: DriftReference, sound: NDArray[np.float64]) -> float:
    """To the nearest voice of the reference."""
    off = (sound - np.asarray(reference.voices)) / np.asarray(reference.spread)
    return float(np.sqrt(np.square(off).mean(axis=1)).min())


def measure(
    reference: DriftReference,
    *,
    model: str,
    language: str,
    clip: Path,
    voice: NDArray[np.float32] | None,
    segments: Sequence[tuple[int, float]],
) -> Measured:
    """A live clip in numbers; what cannot be measured is absent.

    Args:
        voice: 16 kHz mono ``[N]`` of the reference recording, if one came in. segments: phones and seconds of each.
    """
    try:
        face = face_of(clip)
    except DubflowError:
        face = None
    seconds = sum(length for _, length in segments)
    phones = sum(count for count, _ in segments)
    return Measured(
        model=model,
        at=time.time(),
        language=language,
        speaker=None if voice is None or not len(voice) else speaker_distance(reference, sound_of(voice)),
        length_ratio=phones * reference.phone_s / seconds if seconds > 0 else None,
        noise_db=None if voice is None else noise_of(voice),
        face_size=face,
    )


def reference_of(samples: Iterable[Sample], corpus: str, world: str) -> DriftReference:
    """The reference of a corpus. A clip's distance is to the nearest of all means, its own speaker's without itself.

    Raises:
        ValueError: for fewer than two clips, or none with a phone.
    """
    clips = list(samples)
    if len(clips) < 2 or not sum(one.phones for one in clips):
        raise ValueError("a reference needs clips with phones")
    sounds = np.stack([sound_of(one.waveform) for one in clips])
    speakers = np.array([one.speaker for one in clips])
    names = sorted(set(speakers))
    means = np.stack([sounds[speakers == name].mean(axis=0) for name in names])
    number = np.array([names.index(name) for name in speakers])
    spread = np.maximum((sounds - means[number]).std(axis=0), _LEAST_SPREAD)
    distances = []
    for sound, own in zip(sounds, number, strict=True):
        others = means.copy()
        count = int((number == own).sum())
        if count > 1:
            others[own] = (count * means[own] - sound) / (count - 1)
        elif len(names) > 1:
            others = np.delete(others, own, axis=0)
        distances.append(float(np.sqrt(np.square((sound - others) / spread).mean(axis=1)).min()))
    seconds = [len(one.waveform) / SAMPLE_RATE for one in clips]
    phone_s = sum(seconds) / sum(one.phones for one in clips)
    values: dict[str, list[float | None]] = {
        "speaker": list(distances),
        "length_ratio": [one.phones * phone_s / length for one, length in zip(clips, seconds, strict=True)],
        "noise_db": [noise_of(one.waveform) for one in clips],
        "face_size": [one.face_size for one in clips],
    }
    measured = {name: [value for value in values[name] if value is not None] for name in NUMBERS}
    languages = [one.language.partition("-")[0] for one in clips]
    return DriftReference.model_validate(
        {
            "corpus": corpus,
            "world": world,
            "numbers": {name: Distribution.of(found) for name, found in measured.items() if found},
            "languages": {name: languages.count(name) / len(languages) for name in sorted(set(languages))},
            "clips": len(clips),
            "phone_s": phone_s,
            "voices": [tuple(map(float, np.round(mean, 3))) for mean in means],
            "spread": tuple(map(float, np.round(spread, 3))),
        }
    )
