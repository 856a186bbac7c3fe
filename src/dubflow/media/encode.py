"""Clips into files: H.264 and AAC in MP4 with exactly the frames and samples that were given, WAV for sound alone.

How the sample count survives AAC: :mod:`dubflow.media.mp4`.

Determinism. One encoder thread, no creation time, no library version in the file: equal input gives equal bytes with
the same libraries.
"""

from __future__ import annotations

import os
import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.atomic import atomic_file
from dubflow.errors import WrongUse
from dubflow.media.clip import Waveform
from dubflow.media.colour import colour_matrix
from dubflow.media.limits import Limits, default_limits
from dubflow.media.mp4 import (
    LARGEST_TIME_SCALE,
    SoundTrack,
    checked_mono,
    checked_waveform,
    movie_time_scale,
    require_mp4,
)
from dubflow.media.opening import open_regular
from dubflow.media.sandbox import shared_sandbox


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
        sample_rate: samples a second of ``waveform``; one of :data:`dubflow.media.mp4.AAC_RATES`.
        crf: x264's quality, 0 (lossless) to 51. preset: x264's speed.

    Raises:
        WrongUse: ``media.unknown_output``, ``media.no_frames``, ``media.frame_shape``, ``media.odd_size``,
            ``media.bad_rate``, ``media.bad_waveform``, ``media.unsupported_sample_rate``.
    """
    path, rate = Path(path), Fraction(fps)
    require_mp4(path)
    if rate <= 0 or max(rate.numerator, rate.denominator) > LARGEST_TIME_SCALE:
        raise WrongUse(
            "media.bad_rate",
            f"A frame rate of {fps} is not positive, or no fraction that MP4 can say.",
            "Give frames a second exactly, such as Fraction(30000, 1001).",
        )
    sound = None if waveform is None else checked_waveform(waveform, sample_rate)
    picture = iter(frames)
    first = next(picture, None)
    if first is None:
        raise WrongUse("media.no_frames", f"No frames were given for {path.name}.", "A clip has at least one frame.")
    height, width = _checked_frame(first, None).shape[:2]
    with atomic_file(path) as part:
        _encode(part, chain([first], picture), (height, width), rate, sound, sample_rate, crf, preset)


def write_audio(path: str | Path, waveform: NDArray[Any], sample_rate: int) -> None:
    """Write a mono waveform ``[N]`` in -1..1 as 16-bit PCM WAV; the file appears whole or not at all.

    A sample ``x`` becomes ``round(32768 x)`` kept within 16 bits, so that reading (``/ 32768``) is off by at most half
    a step, and exact for what was 16-bit before.

    Raises:
        WrongUse: ``media.unknown_output``, ``media.bad_waveform``, ``media.bad_rate``.
    """
    path = Path(path)
    if path.suffix.lower() != ".wav":
        raise WrongUse("media.unknown_output", f"{path.name} does not end in .wav.", "Sound alone is written as WAV.")
    if sample_rate <= 0:
        raise WrongUse("media.bad_rate", f"A sample rate of {sample_rate} is not positive.", "Give samples a second.")
    steps = np.clip(np.rint(checked_mono(waveform) * 32768.0), -32768, 32767).astype("<i2")
    with atomic_file(path) as part, wave.open(str(part), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(steps.tobytes())


def replace_audio(
    src: str | Path,
    waveform: NDArray[Any],
    sample_rate: int,
    out: str | Path,
    *,
    language: str | None = None,
    limits: Limits | None = None,
) -> None:
    """Write ``out``: the picture and subtitles of ``src`` packet for packet, and ``waveform`` as its only sound (AAC).

    The waveform is on the clip's clock (:mod:`dubflow.media.clip`): its first sample sounds when the first picture is
    shown, which is time zero of the output: where the source starts elsewhere, all its times move together. All video
    and subtitle tracks stay; other sound, data tracks and cover pictures go. The source is read in the decoding
    process.

    Args:
        src: any file with a picture whose codec MP4 can hold. waveform: mono ``[N]`` in -1..1.
        sample_rate: one of :data:`dubflow.media.mp4.AAC_RATES`.
        out: ends in .mp4, .m4v or .mov; appears whole or not at all; may be ``src`` itself.
        language: ISO 639-2 code (``eng``, ``deu`` ...) to tag the new sound with.

    Raises:
        BadInput: as :func:`dubflow.media.decode.read_clip`; ``media.cannot_copy`` for a codec that MP4 cannot hold.
        WrongUse: ``media.unknown_output``, ``media.bad_waveform``, ``media.unsupported_sample_rate``.
    """
    src, out, limits = Path(src), Path(out), limits or default_limits()
    require_mp4(out)
    sound = checked_waveform(waveform, sample_rate)
    arguments = {
        "sample_rate": sample_rate,
        "format": "mov" if out.suffix.lower() == ".mov" else "mp4",
        "language": language,
    }
    memory = os.memfd_create("waveform", os.MFD_CLOEXEC)
    with open_regular(src, limits) as file, os.fdopen(memory, "wb") as held, atomic_file(out) as part:
        held.write(sound.data)
        held.flush()
        with open(part, "w+b") as written:
            files = (written.fileno(), held.fileno())
            with shared_sandbox().job("replace_audio", file, src.name, limits, arguments, files) as job:
                for _ in job.messages():
                    pass


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
    # FFmpeg takes what stands before a colon in a relative name for a protocol.
    with av.open(str(part.absolute()), "w", format="mp4", options=options) as container:
        asked = {"crf": str(crf), "preset": preset, "threads": "1", "flags": "+bitexact"}
        # With B frames x264 weighs blocks by memory that it has not written (its macroblock tree): the same pictures
        # would give other bytes from one process to the next. Without them files are a tenth larger.
        asked |= {"bf": "0", **matrix.encoder_options}
        video = container.add_stream("libx264", rate=rate, options=asked)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = 1 / rate
        audio = SoundTrack(container, sound, sample_rate) if sound is not None else None
        count = 0
        for count, pixels in enumerate(frames, start=1):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(_checked_frame(pixels, size)), format="rgb24")
            # One thread, as everywhere here: callers run files in parallel, not frames.
            frame = frame.reformat(format="yuv420p", dst_colorspace=matrix.swscale, dst_color_range="MPEG", threads=1)
            frame.pts, frame.time_base = count - 1, 1 / rate
            container.mux(video.encode(frame))
            # Interleave: whoever plays or streams the file needs sound and picture of one moment near each other.
            if audio is not None:
                audio.write_until(Fraction(count) / rate)
        container.mux(video.encode(None))
        if audio is not None:
            audio.finish()


def _checked_frame(frame: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        what = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise WrongUse(
            "media.frame_shape", f"A frame is uint8 RGB [H, W, 3], not {what}.", "Convert it before writing."
        )
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
