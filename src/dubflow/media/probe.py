"""What is in a file: streams, exact rates and times, and which of them is read by default.

The default video and audio stream are the first ones that the file marks as default, else the first of their kind;
cover pictures are never the video. Rates are exact fractions, confirmed against the time of every frame; a file whose
frames do not lie on the grid of one rate has a variable rate, and ``rate`` is then its mean.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from dubflow.media import wire
from dubflow.media.digest import sha256_open
from dubflow.media.limits import Limits, default_limits
from dubflow.media.opening import open_regular
from dubflow.media.sandbox import shared_sandbox


@dataclass(frozen=True)
class VideoInfo:
    """A video stream's picture.

    Attributes:
        width, height: pixels as coded, before rotation.
        pixel_format: FFmpeg's name. pixel_aspect: width of a pixel to its height.
        rotation: degrees counter-clockwise by which a viewer turns the picture.
        rate: exact frames a second; the mean when ``variable_rate``; None when there is nothing to tell it from.
        frames, keyframes: counted. reordered: frames are stored in another order than shown (B-frames).
    """

    width: int
    height: int
    pixel_format: str | None
    pixel_aspect: Fraction
    rotation: int
    rate: Fraction | None
    variable_rate: bool
    frames: int
    keyframes: int
    reordered: bool


@dataclass(frozen=True)
class AudioInfo:
    """An audio stream's sound.

    Attributes:
        sample_rate: samples a second. channels: how many. layout: their names.
        samples: per channel, by the packets' times.
    """

    sample_rate: int
    channels: int
    layout: str
    samples: int | None


@dataclass(frozen=True)
class StreamInfo:
    """One stream.

    Attributes:
        index: position in the file. kind: video, audio, subtitle, data or attachment.
        codec: its name, None when there is no decoder for it. language: as tagged.
        dispositions: what the file marks it as (``default``, ``attached_pic`` ...).
        time_base: seconds a tick. start: when it starts, in seconds on the container's clock.
        duration: seconds from its first moment to its last, by its packets.
        packets, bytes: counted, without what players discard.
        video, audio: what only such streams have.
    """

    index: int
    kind: str
    codec: str | None
    language: str | None
    dispositions: tuple[str, ...]
    time_base: Fraction | None
    start: Fraction | None
    duration: Fraction | None
    packets: int
    bytes: int
    video: VideoInfo | None = None
    audio: AudioInfo | None = None


@dataclass(frozen=True)
class Probe:
    """What a file is.

    Attributes:
        path, size, sha256: the file. container, container_name: its format by content, short and long.
        streams: all of them, in the file's order.
        default_video, default_audio: index of the stream that is read, or None.
    """

    path: Path
    size: int
    sha256: str
    container: str
    container_name: str
    streams: tuple[StreamInfo, ...]
    default_video: int | None
    default_audio: int | None

    @property
    def video(self) -> StreamInfo | None:
        """The default video stream."""
        return None if self.default_video is None else self.streams[self.default_video]

    @property
    def audio(self) -> StreamInfo | None:
        """The default audio stream."""
        return None if self.default_audio is None else self.streams[self.default_audio]

    @property
    def duration(self) -> Fraction | None:
        """Seconds from the first moment of any stream to the last of any; None when nothing says."""
        spans = [
            (s.start, s.start + s.duration) for s in self.streams if s.start is not None and s.duration is not None
        ]
        return max(end for _, end in spans) - min(start for start, _ in spans) if spans else None

    @property
    def audio_offset(self) -> Fraction | None:
        """Seconds from the first picture to the first sound (negative: sound first); None unless there are both."""
        if self.video is None or self.audio is None or self.video.start is None or self.audio.start is None:
            return None
        return self.audio.start - self.video.start

    def as_dict(self) -> dict[str, Any]:
        """JSON types only: fractions become ``"30000/1001"``; ``duration_s`` is the duration as a number."""
        plain: dict[str, Any] = _plain(asdict(self))
        duration, offset = self.duration, self.audio_offset
        plain["duration"] = _plain(duration)
        plain["duration_s"] = None if duration is None else round(float(duration), 6)
        plain["audio_offset"] = _plain(offset)
        return plain


def probe(path: str | Path, limits: Limits | None = None) -> Probe:
    """Read a file's headers and all its packets in the decoding process; see :class:`Probe`.

    Raises:
        BadInput: each reason with its own code, see ``docs/errors.md``.
    """
    path, limits = Path(path), limits or default_limits()
    with open_regular(path, limits) as file:
        digest = sha256_open(file)
        size = file.tell()
        with shared_sandbox().job("survey", file, path.name, limits, {}) as job:
            fields: dict[str, Any] = {}
            for header in job.messages():
                if header.kind == "survey":
                    fields = header.fields
            try:
                return _build(path, size, digest, fields)
            except (KeyError, TypeError, ValueError, wire.WireBroken) as error:
                job.misbehaved(f"a survey that does not read ({error})")


def _build(path: Path, size: int, digest: str, fields: dict[str, Any]) -> Probe:
    streams = tuple(_stream(stream) for stream in fields["streams"])
    indices = {stream.index for stream in streams}
    default = fields["default"]
    for kind in ("video", "audio"):
        if default[kind] is not None and default[kind] not in indices:
            raise ValueError(f"no stream {default[kind]}")
    return Probe(
        path=path,
        size=size,
        sha256=digest,
        container=str(fields["container"]),
        container_name=str(fields["container_name"]),
        streams=streams,
        default_video=default["video"],
        default_audio=default["audio"],
    )


def _stream(fields: dict[str, Any]) -> StreamInfo:
    video, audio = fields.pop("video", None), fields.pop("audio", None)
    for name in ("time_base", "start", "duration"):
        fields[name] = wire.unpack_fraction(fields[name])
    fields["dispositions"] = tuple(map(str, fields["dispositions"]))
    if video is not None:
        video["pixel_aspect"] = wire.unpack_fraction(video["pixel_aspect"])
        video["rate"] = wire.unpack_fraction(video["rate"])
    return StreamInfo(
        **fields,
        video=None if video is None else VideoInfo(**video),
        audio=None if audio is None else AudioInfo(**audio),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, (Fraction, Path)) else value
