"""Sound events that are seen and heard: a slamming door, a barking dog, clapping hands.

An event belongs to a video frame. The picture changes on that frame, and the first sample of the sound is the first
sample of that frame. Sounds are synthesised from a seed; no recordings are used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from dubflow.errors import WrongUse

EventKind = Literal["door", "dog", "clap"]
EVENT_KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)
Waveform = npt.NDArray[np.float32]

_SECONDS: Final[dict[EventKind, float]] = {"door": 0.45, "dog": 0.32, "clap": 0.16}
_PEAK: Final[dict[EventKind, float]] = {"door": 0.75, "dog": 0.6, "clap": 0.65}


@dataclass(frozen=True, slots=True, order=True)
class SoundEvent:
    """Something that is seen and heard at the start of video frame ``frame``.

    Raises:
        WrongUse: ``talkers.bad_event``.
    """

    kind: EventKind
    frame: int

    def __post_init__(self) -> None:
        if self.kind not in EVENT_KINDS or self.frame < 0:
            raise WrongUse(
                "talkers.bad_event",
                f"There is no event {self.kind!r} at frame {self.frame}.",
                f"Kinds are {', '.join(EVENT_KINDS)}; frames count from 0.",
            )


def onset_sample(frame: int, sample_rate: int, fps: Fraction) -> int:
    """First sample of video frame ``frame``: the sample nearest to ``frame / fps`` seconds (halves go up)."""
    return int(Fraction(frame) * sample_rate / fps + Fraction(1, 2))


def event_waveform(kind: EventKind, sample_rate: int, seed: int) -> Waveform:
    """Sound of one event, float32 ``[N]`` in -1 to 1; it starts at full attack on sample 0.

    Same kind, rate and seed, same bytes; another seed gives another door, dog or pair of hands.

    Raises:
        WrongUse: ``talkers.bad_event``.
    """
    if kind not in EVENT_KINDS or sample_rate < 4000:
        raise WrongUse(
            "talkers.bad_event",
            f"There is no sound for {kind!r} at {sample_rate} samples a second.",
            f"Kinds are {', '.join(EVENT_KINDS)}; rates start at 4000.",
        )
    rng = np.random.default_rng([seed, EVENT_KINDS.index(kind), 0x50D])
    count = round(_SECONDS[kind] * sample_rate)
    times = np.arange(count) / sample_rate
    if kind == "door":
        sound = _door(times, sample_rate, rng)
    elif kind == "dog":
        sound = _bark(times, sample_rate, rng)
    else:
        sound = _clap(times, sample_rate, rng)
    fade = np.clip((times[-1] - times) / 0.02, 0.0, 1.0)
    sound = sound * fade
    # A click of one millisecond marks the onset, so that the first sample is as loud as any.
    sound[: max(2, sample_rate // 1000)] += 0.5 * float(np.abs(sound).max())
    return np.asarray(_PEAK[kind] * sound / np.abs(sound).max(), dtype=np.float32)


def mix_events(
    waveform: Waveform, events: Iterable[SoundEvent], sample_rate: int, fps: Fraction, seed: int, gain: float = 1.0
) -> Waveform:
    """``waveform`` (float32 ``[N]``) with the sounds of ``events`` added, each from the first sample of its frame on.

    The mixture is scaled down where it would leave -1 to 1; sounds end with the waveform.
    """
    mixed = np.array(waveform, dtype=np.float32)
    for number, event in enumerate(sorted(events, key=lambda one: (one.frame, one.kind))):
        start = onset_sample(event.frame, sample_rate, fps)
        sound = event_waveform(event.kind, sample_rate, seed + number)[: max(0, len(mixed) - start)]
        mixed[start : start + len(sound)] += np.float32(gain) * sound
    peak = float(np.abs(mixed).max(initial=0.0))
    return mixed / np.float32(peak) if peak > 1.0 else mixed


def frames_since(kind: EventKind, frame: int, events: Iterable[SoundEvent]) -> int | None:
    """Frames from the latest event of ``kind`` at or before ``frame``; None before the first."""
    past = [event.frame for event in events if event.kind == kind and event.frame <= frame]
    return frame - max(past) if past else None


def _noise_band(
    count: int, sample_rate: int, low: float, high: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """White noise with everything outside ``low`` to ``high`` hertz rolled off at 12 dB an octave; peak 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequencies = np.maximum(np.fft.rfftfreq(count, 1.0 / sample_rate), 1.0)
    spectrum *= 1.0 / (1.0 + (frequencies / high) ** 2) / (1.0 + (low / frequencies) ** 2)
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / np.abs(noise).max())


def _door(times: npt.NDArray[np.float64], sample_rate: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A slam: the boom of the leaf, the crack of the latch, and a rattle."""
    boom = sum(
        rng.uniform(0.5, 1.0) * np.sin(2 * np.pi * pitch * times + 0.5 * np.pi) * np.exp(-times / decay)
        for pitch, decay in zip(rng.uniform((55, 95, 150), (80, 130, 220)), (0.11, 0.07, 0.045), strict=True)
    )
    crack = _noise_band(len(times), sample_rate, 150, 1400, rng) * np.exp(-times / 0.03)
    late = np.clip(times - rng.uniform(0.05, 0.08), 0.0, None)
    rattle = _noise_band(len(times), sample_rate, 500, 2500, rng) * (late > 0) * np.exp(-late / 0.035)
    return np.asarray(0.6 * boom + 1.1 * crack + 0.25 * rattle)


def _bark(times: npt.NDArray[np.float64], sample_rate: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """One bark: a harmonic sound whose pitch rises and falls, through two resonances, with breath."""
    base = rng.uniform(260, 480)
    pitch = base * (0.8 + 0.45 * np.sin(np.pi * np.clip(times / 0.24, 0.0, 1.0)))
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    formants = rng.uniform((700, 1500), (1000, 2100))
    sound = np.zeros_like(times)
    for harmonic in range(1, 16):
        frequency = harmonic * pitch
        level = 0.08 + sum(np.exp(-(((frequency - formant) / 320.0) ** 2)) for formant in formants)
        sound += level * np.where(frequency < 0.45 * sample_rate, np.cos(harmonic * phase), 0.0)
    breath = _noise_band(len(times), sample_rate, 800, 3000, rng)
    envelope = np.exp(-times / 0.11) * (0.55 + 0.45 * np.clip(times / 0.02, 0.0, 1.0))
    return np.asarray((sound / np.abs(sound).max() + 0.35 * breath) * envelope)


def _clap(times: npt.NDArray[np.float64], sample_rate: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Two palms: a burst of noise around the resonance of the hollow between them, and the room's first answers."""
    centre = rng.uniform(900, 1500)
    burst = _noise_band(len(times), sample_rate, 0.6 * centre, 2.2 * centre, rng)
    sound = burst * np.exp(-times / 0.012)
    for delay, level in zip(rng.uniform((0.011, 0.023), (0.016, 0.034)), (0.35, 0.2), strict=True):
        late = times - delay
        sound = sound + level * np.roll(burst, 97) * (late > 0) * np.exp(-np.clip(late, 0.0, None) / 0.02)
    return np.asarray(sound)
