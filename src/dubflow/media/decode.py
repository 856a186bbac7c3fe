"""Files into frames and samples: resampled to one rate, on one clock, decoded in a confined process.

The clock. Time zero is the first picture (the first sample when there is no picture). Sound that starts later has
silence put before it, sound that starts earlier is cut, so picture and sound stay as they were against each other; the
end of either is its own. Frames follow the rule of :class:`dubflow.media.timing.FrameSampler`; samples are converted by
soxr to exactly ``round(samples * new_rate / rate)``. :func:`read_audio` and :func:`stream_audio` use the same clock,
and so give the same samples as :func:`read_clip`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import WrongUse
from dubflow.media import wire
from dubflow.media.clip import Clip, FrameArray, Source, Waveform
from dubflow.media.digest import sha256_open
from dubflow.media.growing import GrowingArray
from dubflow.media.limits import Limits, default_limits
from dubflow.media.opening import open_regular
from dubflow.media.sandbox import Job, shared_sandbox

DEFAULT_FPS = Fraction(25)
DEFAULT_SAMPLE_RATE = 16000
_MOST_CHUNK_BYTES = 2**30
Between = Callable[[], None]


def _nothing() -> None:
    return None


def read_clip(
    path: str | Path,
    *,
    fps: Fraction | int | None = DEFAULT_FPS,
    sample_rate: int = DEFAULT_SAMPLE_RATE,
    limits: Limits | None = None,
    video: bool = True,
    audio: bool = True,
    video_track: int | None = None,
    audio_track: int | None = None,
    between: Between = _nothing,
) -> Clip:
    """Read a whole clip.

    Args:
        fps: rate of the frames; None gives every source frame once, at the source's mean rate.
        sample_rate: of the waveform. video, audio: what to read; what is asked for must be there.
        video_track, audio_track: position among the file's tracks of that kind; by default its default track.
        between: called between chunks of frames; ends the reading by raising, which is raised here.

    Raises:
        BadInput: each reason with its own code, see ``docs/errors.md``.
        WrongUse: ``media.nothing_asked``, ``media.bad_rate``.
    """
    path, limits = Path(path), limits or default_limits()
    if not video and not audio:
        raise WrongUse("media.nothing_asked", "Neither picture nor sound was asked for.", "Ask for one.")
    with open_regular(path, limits) as file:
        digest = sha256_open(file)
        size = file.tell()
        picture = _PictureReader(path, limits, _checked_fps(fps), video_track) if video else None
        sound = _SoundReader(path, limits, sample_rate, audio_track, video_track) if audio else None
        if picture is not None:
            picture.read_all(file, between)
        if sound is not None:
            sound.read_all(file)
    return _clip(path, digest, size, picture, sound, sample_rate)


def read_audio(
    path: str | Path,
    sample_rate: int = DEFAULT_SAMPLE_RATE,
    limits: Limits | None = None,
    *,
    audio_track: int | None = None,
) -> Waveform:
    """Read the sound of a file: float32 mono ``[N]`` in -1..1.

    Raises:
        BadInput: as :func:`read_clip`.
    """
    clip = read_clip(path, sample_rate=sample_rate, limits=limits, video=False, audio_track=audio_track)
    assert clip.waveform is not None  # asked for, so there or an error
    return clip.waveform


def stream_frames(
    path: str | Path,
    fps: Fraction | int | None = DEFAULT_FPS,
    limits: Limits | None = None,
    *,
    video_track: int | None = None,
) -> Iterator[FrameArray]:
    """Frames in chunks uint8 ``[n, H, W, 3]`` of some megabytes, in bounded memory; each chunk is the caller's to keep.

    Leaving the loop early ends the decoding process.

    Raises:
        BadInput: as :func:`read_clip`, at the chunk where it shows.
    """
    path, limits = Path(path), limits or default_limits()
    reader = _PictureReader(path, limits, _checked_fps(fps), video_track)
    with open_regular(path, limits) as file:
        yield from reader.chunks(file)


def stream_audio(
    path: str | Path,
    sample_rate: int = DEFAULT_SAMPLE_RATE,
    limits: Limits | None = None,
    *,
    audio_track: int | None = None,
) -> Iterator[Waveform]:
    """Samples in chunks float32 ``[n]`` of some seconds, in bounded memory; joined they are :func:`read_audio`'s.

    Raises:
        BadInput: as :func:`read_clip`, at the chunk where it shows.
    """
    path, limits = Path(path), limits or default_limits()
    reader = _SoundReader(path, limits, sample_rate, audio_track, None)
    with open_regular(path, limits) as file:
        yield from reader.chunks(file)


def _checked_fps(fps: Fraction | int | None) -> Fraction | None:
    if fps is not None and fps <= 0:
        raise WrongUse("media.bad_rate", f"A frame rate of {fps} is not positive.", "Give frames a second.")
    return None if fps is None else Fraction(fps)


class _PictureReader:
    """Receives the task ``frames``."""

    def __init__(self, path: Path, limits: Limits, fps: Fraction | None, track: int | None) -> None:
        self._path, self._limits = path, limits
        self._arguments = {"fps": wire.pack_fraction(fps), "track": track}
        self.fps = fps
        self.container = ""
        self.stream: int | None = None
        self.time_base: Fraction | None = None
        self.pts: NDArray[np.int64] = np.zeros(0, np.int64)
        self.map: NDArray[np.int64] = np.zeros(0, np.int64)
        self.notices: list[str] = []
        self.frames: FrameArray = np.zeros((0, 0, 0, 3), np.uint8)
        self._shape = (0, 0, 3)
        self._expected = 0

    def chunks(self, file: BinaryIO) -> Iterator[FrameArray]:
        """Chunks as they come."""
        with shared_sandbox().job("frames", file, self._path.name, self._limits, self._arguments) as job:
            for header in job.messages():
                if self._is_frames(job, header):
                    chunk = np.empty((self._count(job, header), *self._shape), np.uint8)
                    job.take(header, chunk.data.cast("B"))
                    yield chunk

    def read_all(self, file: BinaryIO, between: Between) -> None:
        """Everything into :attr:`frames`, received in place."""
        held: GrowingArray[np.uint8] | None = None
        with shared_sandbox().job("frames", file, self._path.name, self._limits, self._arguments) as job:
            for header in job.messages():
                between()
                if self._is_frames(job, header):
                    count = self._count(job, header)
                    if held is None:
                        held = GrowingArray(
                            np.uint8, self._shape, self._expected, self._limits.decoded, self._path.name
                        )
                    job.take(header, held.extend(count).data.cast("B"))
            if held is None or len(held.array) != len(self.map):
                job.misbehaved("another number of frames than announced")
            self.frames = held.array

    def _count(self, job: Job, header: wire.Header) -> int:
        if self.stream is None:
            job.misbehaved("frames of no known size")
        return _count(job, header, math.prod(self._shape))

    def _is_frames(self, job: Job, header: wire.Header) -> bool:
        try:
            if header.kind == "picture":
                self._begin(job, header.fields)
            elif header.kind == "index":
                self._index(job, header)
        except (KeyError, TypeError, ValueError, wire.WireBroken) as error:
            job.misbehaved(f"a message that does not read ({error})")
        return header.kind == "frames"

    def _begin(self, job: Job, fields: dict[str, Any]) -> None:
        height, width = int(fields["height"]), int(fields["width"])
        if height < 1 or width < 1 or height * width > self._limits.pixels:
            job.misbehaved(f"frames of {width}x{height}")
        self._shape = (height, width, 3)
        self._expected = int(fields["expected"])
        self.container, self.stream = str(fields["container"]), int(fields["stream"])
        if self.fps is None:
            self.fps = wire.unpack_fraction(fields["rate"]) or DEFAULT_FPS

    def _index(self, job: Job, header: wire.Header) -> None:
        source, shown = int(header.fields["source"]), int(header.fields["shown"])
        size = 8 * (source + shown)
        if source < 1 or shown < 1 or header.payload != size or size > self._limits.memory:
            job.misbehaved(f"an index of {source} and {shown} frames")
        both = np.empty(source + shown, np.int64)
        job.take(header, both.data.cast("B"))
        self.pts, self.map = both[:source], both[source:]
        if self.map.min() < 0 or self.map.max() >= source:
            job.misbehaved("an index that points beyond its frames")
        self.time_base = wire.unpack_fraction(header.fields["time_base"])
        self.notices = [str(notice) for notice in header.fields["notices"]]


class _SoundReader:
    """Receives the task ``sound``."""

    def __init__(
        self, path: Path, limits: Limits, sample_rate: int, track: int | None, video_track: int | None
    ) -> None:
        if sample_rate <= 0:
            raise WrongUse(
                "media.bad_rate", f"A sample rate of {sample_rate} is not positive.", "Give samples a second."
            )
        self._path, self._limits = path, limits
        self._arguments = {"sample_rate": sample_rate, "track": track, "video_track": video_track}
        self.container = ""
        self.stream: int | None = None
        self.rate: int | None = None
        self.origin = self.start_offset = Fraction(0)
        self.notices: list[str] = []
        self.waveform: Waveform = np.zeros(0, np.float32)

    def chunks(self, file: BinaryIO) -> Iterator[Waveform]:
        """Chunks as they come."""
        with shared_sandbox().job("sound", file, self._path.name, self._limits, self._arguments) as job:
            for header in job.messages():
                if self._is_samples(job, header):
                    chunk = np.empty(_count(job, header, 4), np.float32)
                    job.take(header, chunk.data.cast("B"))
                    yield chunk

    def read_all(self, file: BinaryIO) -> None:
        """Everything into :attr:`waveform`."""
        held = GrowingArray[np.float32](np.float32, (), 0, self._limits.decoded, self._path.name)
        for chunk in self.chunks(file):
            held.extend(len(chunk))[:] = chunk
        self.waveform = held.array

    def _is_samples(self, job: Job, header: wire.Header) -> bool:
        try:
            if header.kind == "sound":
                self.container, self.stream = str(header.fields["container"]), int(header.fields["stream"])
                self.rate = int(header.fields["rate"])
            elif header.kind == "end":
                self.origin = wire.unpack_fraction(header.fields["origin"]) or Fraction(0)
                self.start_offset = wire.unpack_fraction(header.fields["start_offset"]) or Fraction(0)
                self.notices = [str(notice) for notice in header.fields["notices"]]
        except (KeyError, TypeError, ValueError, wire.WireBroken) as error:
            job.misbehaved(f"a message that does not read ({error})")
        return header.kind == "samples"


def _count(job: Job, header: wire.Header, item_bytes: int) -> int:
    """How many items a chunk announces; memory is set aside only for a sane number that fits what follows."""
    count = header.fields.get("count")
    if not isinstance(count, int) or count < 1 or not header.payload == count * item_bytes <= _MOST_CHUNK_BYTES:
        job.misbehaved(f"a chunk of {count!r} items in {header.payload} bytes")
    return count


def _clip(
    path: Path,
    digest: str,
    size: int,
    picture: _PictureReader | None,
    sound: _SoundReader | None,
    sample_rate: int,
) -> Clip:
    origin, time_base = Fraction(0), None
    if picture is not None and picture.time_base is not None:
        time_base = picture.time_base
        origin = int(picture.pts[0]) * time_base
    elif sound is not None:
        origin = sound.origin
    readers = [reader for reader in (picture, sound) if reader is not None]
    source = Source(
        path=path,
        sha256=digest,
        size=size,
        container=readers[0].container,
        video_stream=None if picture is None else picture.stream,
        audio_stream=None if sound is None else sound.stream,
        time_base=time_base,
        frame_pts=np.zeros(0, np.int64) if picture is None else picture.pts,
        frame_map=np.zeros(0, np.int64) if picture is None else picture.map,
        origin=origin,
        start_offset=Fraction(0) if sound is None else sound.start_offset,
        source_sample_rate=None if sound is None else sound.rate,
        notices=tuple(notice for reader in readers for notice in reader.notices),
    )
    return Clip(
        frames=None if picture is None else picture.frames,
        fps=DEFAULT_FPS if picture is None or picture.fps is None else picture.fps,
        waveform=None if sound is None else sound.waveform,
        sample_rate=sample_rate,
        source=source,
    )
