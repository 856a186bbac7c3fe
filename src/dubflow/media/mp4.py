"""What we write into MP4 files: the sound track, the time scale, and what their input must be.

Exactness of AAC. The encoder works in frames of 1,024 samples, starts with 1,024 samples of priming and fills up the
last frame. The MP4 track says what of that is sound: its edit list skips the priming, and the duration of the last
packet and of the edit end with the last real sample. The movie's time scale is a common multiple of the sample rate and
the frame rate, so that both durations are exact integers. Our reader and any that honours edit lists return ``N``.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import WrongUse
from dubflow.media.clip import Waveform

if TYPE_CHECKING:
    from av.container import OutputContainer

AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
AAC_FRAME = 1024
MP4_SUFFIXES = (".mp4", ".m4v", ".mov")
LARGEST_TIME_SCALE = 2**31 - 1


class SoundTrack:
    """An AAC track of an open output container, fed from an array.

    Args:
        container: where packets go. sound: checked mono waveform, from time zero on. sample_rate: its rate.
    """

    def __init__(self, container: OutputContainer, sound: Waveform, sample_rate: int) -> None:
        # The default bit rate is low for speech at 16 kHz; 96 kbit/s is transparent there.
        self._stream = container.add_stream(
            "aac", rate=sample_rate, layout="mono", bit_rate=96000, options={"flags": "+bitexact", "threads": "1"}
        )
        self._container, self._sound, self._rate = container, sound, sample_rate
        self._position = 0

    def set_language(self, language: str) -> None:
        """Tag the track with an ISO 639-2 code."""
        self._stream.metadata["language"] = language

    def write_until(self, seconds: Fraction) -> None:
        """Encode what sounds before ``seconds`` after the track's start, in whole AAC frames."""
        target = min(len(self._sound), math.floor(seconds * self._rate))
        while self._position + AAC_FRAME <= target:
            self._write(AAC_FRAME)

    def finish(self) -> None:
        """Encode the rest and close the track."""
        while self._position < len(self._sound):
            self._write(min(AAC_FRAME, len(self._sound) - self._position))
        self._container.mux(self._stream.encode(None))

    def _write(self, count: int) -> None:
        import av

        samples = np.ascontiguousarray(self._sound[None, self._position : self._position + count])
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._position
        self._container.mux(self._stream.encode(frame))
        self._position += count


def movie_time_scale(fps: Fraction, sample_rate: int) -> int:
    """Ticks a second in which a frame and a sample both last a whole number of ticks, if an MP4 can say it."""
    common = math.lcm(fps.numerator, sample_rate)
    # Below a thousand, players that read the header alone would show a coarse duration.
    common *= max(1, math.ceil(1000 / common))
    return common if common <= LARGEST_TIME_SCALE else sample_rate


def require_mp4(path: Path) -> None:
    """Refuse an output name that is not of the MP4 family: ``media.unknown_output``."""
    if path.suffix.lower() not in MP4_SUFFIXES:
        raise WrongUse(
            "media.unknown_output",
            f"{path.name} does not end in {', '.join(MP4_SUFFIXES)}.",
            "Clips are written as MP4; give the output such a name.",
        )


def checked_waveform(waveform: NDArray[Any], sample_rate: int) -> Waveform:
    """A waveform that AAC can take: float32 mono ``[N]``, N > 0, finite, clipped to -1..1."""
    if sample_rate not in AAC_RATES:
        raise WrongUse(
            "media.unsupported_sample_rate",
            f"AAC has no sample rate of {sample_rate} Hz.",
            f"Use one of {', '.join(map(str, AAC_RATES))}.",
        )
    return checked_mono(waveform)


def checked_mono(waveform: NDArray[Any]) -> Waveform:
    """A waveform that can be written: float32 mono ``[N]``, N > 0, finite, clipped to -1..1; ``media.bad_waveform``."""
    sound = np.asarray(waveform)
    if sound.ndim != 1 or len(sound) == 0 or not np.issubdtype(sound.dtype, np.floating):
        raise WrongUse(
            "media.bad_waveform",
            f"A waveform is a floating mono array [N] with N > 0, not {sound.dtype} {sound.shape}.",
            "Average the channels and scale to -1..1.",
        )
    if not np.isfinite(sound).all():
        raise WrongUse("media.bad_waveform", "The waveform holds NaN or infinite values.", "Find where they came from.")
    return np.clip(sound, -1.0, 1.0).astype(np.float32)
