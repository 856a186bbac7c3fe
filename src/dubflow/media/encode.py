"""Clips into files: H.264 and AAC in MP4 with exactly the frames and samples that were given, WAV for sound alone.

Exactness of AAC. The encoder works in frames of 1,024 samples, starts with 1,024 samples of priming and fills up the
last frame. The MP4 track says what of that is sound: its edit list skips the priming, and the duration of the last
packet and of the edit end with the last real sample. The movie's time scale is a common multiple of the sample rate and
the frame rate, so that both durations are exact integers. Our reader and any that honours edit lists return ``N``.

Determinism. One encoder thread, no creation time, no library version in the file: equal input gives equal bytes with
the same libraries.
"""

from __future__ import annotations

import math
import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dubflow.atomic import atomic_file
from dubflow.errors import WrongUse
from dubflow.media.clip import Waveform
from dubflow.media.colour import colour_matrix

if TYPE_CHECKING:
    from av.container import OutputContainer

AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
AAC_FRAME = 1024
MP4_SUFFIXES = (".mp4", ".m4v", ".mov")
_LARGEST_TIME_SCALE = 2**31 - 1


def write_clip(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: Fraction | int,
    waveform: NDArray[Any] | None = None,
    sample_rate: int = 16000,
    crf: int = 18,
    preset: str = "veryfast",
) -> None:
    """Write frames and, where given, a waveform as H.264 (yuv420p) and AAC; the file appears whole or not at all.

    Args:
        path: ends in .mp4, .m4v or .mov.
        frames: uint8 RGB ``[H, W, 3]`` each, all of one even size, at least one; consumed one by one.
        fps: exact frame rate.
        waveform: mono ``[N]`` in -1..1 (values outside are clipped); starts with the first frame.
        sample_rate: samples a second of ``waveform``; one of AAC's (:data:`AAC_RATES`).
        crf: x264's quality, 0 (lossless) to 51. preset: x264's speed.

    Raises:
        WrongUse: ``media.unknown_output``, ``media.no_frames``, ``media.frame_shape``, ``media.odd_size``,
            ``media.bad_rate``, ``media.bad_waveform``, ``media.unsupported_sample_rate``.
    """
    path, rate = Path(path), Fraction(fps)
    require_mp4(path)
    if rate <= 0:
        raise WrongUse("media.bad_rate", f"A frame rate of {fps} is not positive.", "Give frames a second.")
    sound = None if waveform is None else checked_waveform(waveform, sample_rate)
    picture = iter(frames)
    first = next(picture, None)
    if first is None:
        raise WrongUse("media.no_frames", f"No frames were given for {path.name}.", "A clip has at least one frame.")
    height, width = _checked_frame(first, None).shape[:2]
    with atomic_file(path) as part:
        _encode(part, chain([first], picture), (height, width), rate, sound, sample_rate, crf, preset)


def _encode(
    part: Path,
    frames: Iterator[NDArray[np.uint8]],
    size: tuple[int, int],
    rate: Fraction,
    sound: Waveform | None,
    sample_rate: int,
    crf: int,
    preset: str,
) -> None:
    import av

    height, width = size
    matrix = colour_matrix(height)
    time_scale = movie_time_scale(rate, sample_rate if sound is not None else 1)
    options = {"movflags": "+faststart", "movie_timescale": str(time_scale), "fflags": "+bitexact"}
    with av.open(str(part), "w", format="mp4", options=options) as container:
        video = container.add_stream(
            "libx264",
            rate=rate,
            options={"crf": str(crf), "preset": preset, "threads": "1", "flags": "+bitexact", **matrix.encoder_options},
        )
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = 1 / rate
        audio = SoundTrack(container, sound, sample_rate) if sound is not None else None
        count = 0
        for count, pixels in enumerate(frames, start=1):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(_checked_frame(pixels, size)), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=matrix.swscale, dst_color_range="MPEG")
            frame.pts, frame.time_base = count - 1, 1 / rate
            container.mux(video.encode(frame))
            # Interleave: whoever plays or streams the file needs sound and picture of one moment near each other.
            if audio is not None:
                audio.write_until(Fraction(count) / rate)
        container.mux(video.encode(None))
        if audio is not None:
            audio.finish()


class SoundTrack:
    """An AAC track of an open output container, fed from an array.

    Args:
        container: where packets go. sound: checked mono waveform. sample_rate: its rate.
        start: when its first sample sounds on the container's clock, in seconds.
    """

    def __init__(
        self, container: OutputContainer, sound: Waveform, sample_rate: int, start: Fraction = Fraction(0)
    ) -> None:
        # The default bit rate is low for speech at 16 kHz; 96 kbit/s is transparent there.
        self._stream = container.add_stream(
            "aac", rate=sample_rate, layout="mono", bit_rate=96000, options={"flags": "+bitexact", "threads": "1"}
        )
        self._container, self._sound, self._rate = container, sound, sample_rate
        self._first_pts = round(start * sample_rate)
        self._position = 0

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
        frame.pts = self._first_pts + self._position
        self._container.mux(self._stream.encode(frame))
        self._position += count


def movie_time_scale(fps: Fraction, sample_rate: int) -> int:
    """Ticks a second in which a frame and a sample both last a whole number of ticks, if an MP4 can say it."""
    common = math.lcm(fps.numerator, sample_rate)
    # Below a thousand, players that read the header alone would show a coarse duration.
    common *= max(1, math.ceil(1000 / common))
    return common if common <= _LARGEST_TIME_SCALE else sample_rate


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
    return _mono(waveform)


def _mono(waveform: NDArray[Any]) -> Waveform:
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


def _checked_frame(frame: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        what = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise WrongUse("media.frame_shape", f"A frame is uint8 RGB [H, W, 3], not {what}.", "Convert it before writing.")
    height, width = frame.shape[:2]
    if size is not None and (height, width) != size:
        raise WrongUse(
            "media.frame_shape",
            f"A frame of {width}x{height} follows frames of {size[1]}x{size[0]}.",
            "All frames of a clip have one size.",
        )
    if height % 2 or width % 2 or not height or not width:
        raise WrongUse(
            "media.odd_size",
            f"Frames are {width}x{height}; H.264 with yuv420p needs an even width and height.",
            "Crop or pad the frames by one pixel.",
        )
    return frame


def write_audio(path: str | Path, waveform: NDArray[Any], sample_rate: int) -> None:
    """Write a mono waveform ``[N]`` in -1..1 as 16-bit PCM WAV; the file appears whole or not at all.

    A sample ``x`` becomes ``round(32768 x)`` kept within 16 bits, so that reading (``/ 32768``) is off by at most half a
    step, and exact for what was 16-bit before.

    Raises:
        WrongUse: ``media.unknown_output``, ``media.bad_waveform``, ``media.bad_rate``.
    """
    path = Path(path)
    if path.suffix.lower() != ".wav":
        raise WrongUse("media.unknown_output", f"{path.name} does not end in .wav.", "Sound alone is written as WAV.")
    if sample_rate <= 0:
        raise WrongUse("media.bad_rate", f"A sample rate of {sample_rate} is not positive.", "Give samples a second.")
    steps = np.clip(np.rint(_mono(waveform) * 32768.0), -32768, 32767).astype("<i2")
    with atomic_file(path) as part, wave.open(str(part), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(steps.tobytes())
