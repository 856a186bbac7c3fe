"""The value that leaves this room: frames and a waveform on one clock, and where they came from.

Clip time zero is the moment the first picture is shown (or the first sample sounds, when there is no picture). The
waveform is placed on that clock, so sample ``n`` sounds at ``n / sample_rate`` while frame ``k`` is shown during
``[k / fps, (k + 1) / fps)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import WrongUse

FrameArray = NDArray[np.uint8]
Waveform = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Source:
    """Where a clip came from and how its frames map back.

    Attributes:
        path: the file as it was named. sha256: digest of its bytes. size: its bytes. container: its format by content.
        video_stream, audio_stream: indices of the streams that were decoded; None when there was none or none asked.
        time_base: seconds a tick of ``frame_pts``; None without picture.
        frame_pts: int64 ``[S]``, presentation time in ticks on the container's clock, of every source frame.
        frame_map: int64 ``[F]``, index of the source frame shown at each output frame.
        origin: the container's time, in seconds, of clip time zero; exact.
        start_offset: when the audio stream starts on the clip's clock, in seconds. Positive: silence was put before it;
            negative: that much was cut from its beginning. Zero without audio.
        source_sample_rate: samples a second in the file; None without audio.
        notices: what the reader had to decide or repair, one sentence each.
    """

    path: Path
    sha256: str
    size: int
    container: str
    video_stream: int | None
    audio_stream: int | None
    time_base: Fraction | None
    frame_pts: NDArray[np.int64]
    frame_map: NDArray[np.int64]
    origin: Fraction
    start_offset: Fraction
    source_sample_rate: int | None
    notices: tuple[str, ...] = ()

    @property
    def frame_times(self) -> NDArray[np.float64]:
        """Presentation time of every source frame in seconds on the clip's clock, float64 ``[S]``."""
        if self.time_base is None:
            return np.zeros(0)
        ticks = self.frame_pts - self.frame_pts[0] if len(self.frame_pts) else self.frame_pts
        return np.asarray(ticks * self.time_base.numerator / self.time_base.denominator, np.float64)

    def frame_time(self, index: int) -> Fraction:
        """Exact presentation time, in seconds on the container's clock, of one source frame."""
        if self.time_base is None:
            raise WrongUse(
                "media.read_without_video", f"{self.path} was read without picture.", "Read it with video=True."
            )
        return int(self.frame_pts[index]) * self.time_base


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames and sound of one file on one clock.

    Attributes:
        frames: uint8 RGB ``[F, H, W, 3]`` as a viewer sees them (rotation applied), or None when not asked for.
        fps: exact rate of ``frames``.
        waveform: float32 mono ``[N]`` in -1..1, or None when not asked for.
        sample_rate: samples a second of ``waveform``.
        source: where it came from.
    """

    frames: FrameArray | None
    fps: Fraction
    waveform: Waveform | None
    sample_rate: int
    source: Source

    def __post_init__(self) -> None:
        if self.frames is not None and (self.frames.dtype != np.uint8 or self.frames.ndim != 4):
            raise WrongUse(
                "media.frame_shape", f"Frames are {self.frames.dtype} {self.frames.shape}.", "uint8 [F,H,W,3]."
            )
        if self.waveform is not None and (self.waveform.dtype != np.float32 or self.waveform.ndim != 1):
            raise WrongUse(
                "media.bad_waveform", f"The waveform is {self.waveform.dtype} {self.waveform.shape}.", "float32 [N]."
            )

    @property
    def frame_count(self) -> int:
        """Number of frames; 0 without picture."""
        return 0 if self.frames is None else len(self.frames)

    @property
    def sample_count(self) -> int:
        """Number of samples; 0 without sound."""
        return 0 if self.waveform is None else len(self.waveform)

    @property
    def seconds(self) -> float:
        """Length of the clip: the longer of picture and sound."""
        return max(float(self.frame_count / self.fps), self.sample_count / self.sample_rate)
