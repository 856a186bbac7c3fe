"""Inside the decoding process: an untrusted file, opened as the one container that its bytes say it is."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, NoReturn

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from dubflow.errors import BadInput
from dubflow.media._complaints import refused_size
from dubflow.media.completeness import check_whole, declared_samples
from dubflow.media.limits import Limits
from dubflow.media.sniff import HEAD_BYTES, sniff

# Decoders of formats that real clips use; the rest of several hundred is surface without a purpose.
_CODECS = frozenset(
    (
        *("h264", "hevc", "vp8", "vp9", "av1", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4v3", "h263"),
        *("flv1", "mjpeg", "png", "apng", "webp", "prores", "dnxhd", "ffv1", "huffyuv", "ffvhuff", "qtrle", "rawvideo"),
        *("theora", "dvvideo", "wmv1", "wmv2", "wmv3", "vc1"),
        *("aac", "mp1", "mp2", "mp3", "opus", "vorbis", "flac", "alac", "ac3", "eac3", "dts", "wmav1", "wmav2"),
        *("amr_nb", "amr_wb", "gsm", "speex", "wavpack", "adpcm_ima_wav", "adpcm_ms", "adpcm_ima_qt"),
    )
)
_READ_BUFFER = 2**18


class DescriptorFile(io.RawIOBase):
    """A file object over an open descriptor with a position of its own: several may read one descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor, self._position = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes from the position on."""
        count = size if size >= 0 else os.fstat(self._descriptor).st_size - self._position
        data = os.pread(self._descriptor, max(0, count), self._position)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; returns it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        if base is None:
            base = os.fstat(self._descriptor).st_size
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position


class Untrusted:
    """An untrusted file: what it is by content, and how to open it as just that.

    Attributes:
        name: what to call it. limits: what it may cost. demuxer: the container by content.
    """

    def __init__(self, descriptor: int, name: str, limits: Limits) -> None:
        self.name, self.limits = name, limits
        self._descriptor = descriptor
        file = DescriptorFile(descriptor)
        self.demuxer = sniff(file.read(HEAD_BYTES), name)
        check_whole(file, os.fstat(descriptor).st_size, self.demuxer, name)
        self._declared_samples = declared_samples(file, self.demuxer)

    @property
    def counts_samples(self) -> bool:
        """Whether the container says how many samples it holds."""
        return self._declared_samples is not None

    @contextmanager
    def open(self) -> Iterator[InputContainer]:
        """The container, demuxed by exactly the format that was found; it can open nothing else.

        Raises:
            BadInput: ``media.too_long`` by its declared length; ``media.damaged``.
        """
        container = av.open(
            DescriptorFile(self._descriptor),
            "r",
            format=self.demuxer,
            options={"max_pixels": str(self.limits.pixels)},
            container_options={
                "format_whitelist": av.ContainerFormat(self.demuxer, "r").name,
                "protocol_whitelist": "none",
                "max_streams": str(self.limits.streams + 1),
            },
            metadata_errors="replace",
            buffer_size=_READ_BUFFER,
            io_open=self._refuse_reference,
        )
        with container:
            if len(container.streams) > self.limits.streams:
                self.refuse(
                    "media.too_many_streams", f"has more than {self.limits.streams} streams", "Keep the needed ones."
                )
            if container.duration is not None:
                self.check_seconds(Fraction(container.duration, av.time_base))
            yield container

    def _refuse_reference(self, url: str, flags: int, options: dict[str, str]) -> NoReturn:
        self.refuse(
            "media.external_reference", "refers to another file or address", "Give a clip that holds its own media."
        )

    def refuse(self, code: str, what: str, hint: str, **details: Any) -> NoReturn:
        """Raise ``code`` about this file."""
        raise BadInput(code, f"{self.name} {what}.", hint, **details)

    def damaged(self, what: str) -> NoReturn:
        """Raise ``media.damaged`` about this file, or ``media.too_large_pixels`` if that is why nothing came."""
        size = refused_size()
        if size is not None:
            self.check_pixels(*size)
        self.refuse("media.damaged", f"is damaged: {what}", "Copy or convert it again.")

    def truncated(self, what: str) -> NoReturn:
        """Raise ``media.truncated`` about this file."""
        self.refuse("media.truncated", f"is cut off: {what}", "Copy or download it again; only whole files are read.")

    def check_samples(self, until: int, present: int) -> None:
        """Refuse sound that is not all there, where the container counts it.

        Args:
            until: the sound's end, in samples from its beginning. present: how many samples there are until then.
        """
        if self._declared_samples is None:
            return
        if until < self._declared_samples:
            self.truncated(f"it has {until} of {self._declared_samples} samples")
        if present < self._declared_samples:
            self.damaged(f"{self._declared_samples - present} samples are missing inside")

    def check_seconds(self, seconds: Fraction) -> None:
        """Refuse media time beyond the limit."""
        if seconds > self.limits.seconds:
            self.refuse(
                "media.too_long",
                f"lasts {float(seconds):.1f} s; the limit is {self.limits.seconds:.1f} s",
                "Cut it, or raise the limit on seconds.",
                seconds=float(seconds),
                limit=self.limits.seconds,
            )

    def check_pixels(self, width: int, height: int) -> None:
        """Refuse a picture beyond the limit."""
        if width * height > self.limits.pixels:
            self.refuse(
                "media.too_large_pixels",
                f"has pictures of {width}x{height}; the limit is {self.limits.pixels} pixels",
                "Scale it down, or raise the limit on pixels.",
                width=width,
                height=height,
                limit=self.limits.pixels,
            )

    def choose(self, container: InputContainer, kind: str, track: int | None) -> Any:
        """The stream to decode: the one asked for, or by :func:`default_stream`; checked to be decodable.

        Args:
            kind: "video" or "audio". track: position among the streams of that kind, from 0.

        Raises:
            BadInput: ``media.no_video``, ``media.no_audio``, ``media.no_such_track``, ``media.unsupported_codec``,
                ``media.too_large_pixels``.
        """
        streams = playable(container, kind)
        if not streams:
            what = "picture" if kind == "video" else "sound"
            code = "media.no_video" if kind == "video" else "media.no_audio"
            self.refuse(code, f"has no {what}", f"Give a clip with {what}, or read it with {kind}=False.")
        if track is None:
            stream = default_stream(streams)
        elif 0 <= track < len(streams):
            stream = streams[track]
        else:
            self.refuse(
                "media.no_such_track", f"has {len(streams)} {kind} tracks and no track {track}", "Count from 0."
            )
        if not decodable(stream):
            codec = codec_name(stream) or "an unknown codec"
            self.refuse("media.unsupported_codec", f"holds {kind} in {codec}", "Convert it to H.264 and AAC.")
        if kind == "video":
            self.check_pixels(stream.codec_context.width, stream.codec_context.height)
        # One thread: the same errors and the same bytes on every machine; callers run files in parallel, not frames.
        stream.codec_context.thread_count = 1
        return stream


def codec_name(stream: Stream) -> str | None:
    """The codec's canonical name; None when there is no decoder for it."""
    context = getattr(stream, "codec_context", None)
    return None if context is None or context.codec is None else str(context.codec.canonical_name)


def decodable(stream: Stream) -> bool:
    """Whether the stream's codec is one that is decoded here."""
    codec = codec_name(stream)
    return codec is not None and (codec in _CODECS or codec.startswith("pcm_"))


def playable(container: InputContainer, kind: str) -> list[Any]:
    """Streams of a kind that are media; a cover picture is a note about the sound, not a video."""
    return [s for s in container.streams if s.type == kind and not s.disposition & Disposition.attached_pic]


def default_stream(streams: list[Any]) -> Any:
    """The stream that is taken when none is asked for: the first that the file marks as default, else the first."""
    return next((s for s in streams if s.disposition & Disposition.default), streams[0])


def decoded(
    untrusted: Untrusted, container: InputContainer, stream: Stream, each: Callable[[Any], None]
) -> Iterator[Any]:
    """Frames of ``stream`` in order of presentation; ``each`` sees every packet before it is decoded.

    Packets before the first whole frame may be undecodable (a recording cut out of a longer one starts so); after it
    every packet must decode, or half a clip would pass for a whole one.

    Raises:
        BadInput: ``media.truncated`` when the last packet does not decode, ``media.damaged`` when another does not.
    """
    started = False
    failed: av.FFmpegError | None = None
    for packet in container.demux(stream):
        if failed is not None and packet.size:
            untrusted.damaged(f"a packet does not decode ({failed.strerror})")
        each(packet)
        try:
            frames = packet.decode()
        except av.error.EOFError:
            break
        except MemoryError:
            raise
        except av.FFmpegError as error:
            failed = error if started else None
            continue
        started = started or bool(frames)
        yield from frames
    if failed is not None:
        untrusted.truncated("its last packet does not decode")
    if not started:
        untrusted.damaged("nothing in it decodes")
