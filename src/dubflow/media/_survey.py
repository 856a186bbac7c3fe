"""Inside the decoding process: what streams a file has, from its headers and all its packets."""

from __future__ import annotations

import socket
from array import array
from fractions import Fraction
from typing import Any

import av

from dubflow.media import wire
from dubflow.media._container import Untrusted, codec_name, decodable, decoded, default_stream, playable
from dubflow.media.timing import constant_rate

_KINDS = ("video", "audio", "subtitle", "data", "attachment")


def run(untrusted: Untrusted, arguments: dict[str, Any], answers: socket.socket, files: list[int]) -> None:
    """Task ``survey``: one ``survey`` message, then ``end``. Reads every packet and the first frame of each video."""
    with untrusted.open() as container:
        records = {stream.index: Record(untrusted, stream) for stream in container.streams}
        last: Any = None
        for packet in container.demux():
            if packet.size:
                records[packet.stream_index].add(packet)
                last = packet
        if untrusted.counts_samples and last is not None:
            _check_last(untrusted, last)
        videos, audios = playable(container, "video"), playable(container, "audio")
        defaults = {
            "video": default_stream(videos).index if videos else None,
            "audio": default_stream(audios).index if audios else None,
        }
        rotations = {stream.index: _rotation(untrusted, track) for track, stream in enumerate(videos)}
        described = [record.as_fields(rotations.get(index, 0)) for index, record in records.items()]
        name, long_name = container.format.name, container.format.long_name
    wire.send(answers, "survey", container=name, container_name=long_name, streams=described, default=defaults)
    wire.send(answers, "end")


def _check_last(untrusted: Untrusted, packet: Any) -> None:
    """Decode one packet: the container says how much sound there is, but the last packet may be there in part."""
    try:
        packet.decode()
    except av.FFmpegError:
        untrusted.truncated("its last packet does not decode")


def _rotation(untrusted: Untrusted, track: int) -> int:
    """Degrees, counter-clockwise, by which a viewer turns the picture; said by the first frame."""
    with untrusted.open() as container:
        if not decodable(playable(container, "video")[track]):
            return 0
        stream = untrusted.choose(container, "video", track)
        for frame in decoded(untrusted, container, stream, lambda packet: None):
            untrusted.check_pixels(frame.width, frame.height)
            return int(frame.rotation) % 360
    return 0


class Record:
    """What the packets of one stream say."""

    def __init__(self, untrusted: Untrusted, stream: Any) -> None:
        self._untrusted, self._stream = untrusted, stream
        self._time_base: Fraction = stream.time_base or Fraction(1, av.time_base)
        self._pts = array("q")
        self._packets = self._bytes = self._keyframes = self._ticks = 0
        self._end: int | None = None
        self._last: tuple[int, int] = (0, 0)
        context = stream.codec_context if codec_name(stream) else None
        if stream.type == "video" and context is not None:
            untrusted.check_pixels(context.width, context.height)

    def add(self, packet: Any) -> None:
        """Count a packet; those that players discard (priming, outside the edit list) count for nothing."""
        if packet.is_discard:
            return
        self._packets += 1
        self._bytes += packet.size
        self._keyframes += bool(packet.is_keyframe)
        if packet.pts is None:
            return
        self._pts.append(packet.pts)
        duration = packet.duration or 0
        self._ticks += duration
        if self._end is None or packet.pts + duration >= self._end:
            self._end = packet.pts + duration
            self._last = (packet.pts, duration)
        self._untrusted.check_seconds(abs(self._end - self._pts[0]) * self._time_base)

    def as_fields(self, rotation: int) -> dict[str, Any]:
        """The stream as the JSON of the wire."""
        stream, ascending = self._stream, sorted(self._pts)
        kind = stream.type if stream.type in _KINDS else "data"
        start = ascending[0] * self._time_base if ascending else None
        fields: dict[str, Any] = {
            "index": stream.index,
            "kind": kind,
            "codec": codec_name(stream),
            "language": _language(stream),
            "dispositions": [flag.name for flag in av.stream.Disposition if flag in stream.disposition],
            "time_base": wire.pack_fraction(stream.time_base),
            "start": wire.pack_fraction(start),
            "packets": self._packets,
            "bytes": self._bytes,
        }
        if kind == "audio" and self._end is not None:
            # A container that counts samples has one tick a sample.
            self._untrusted.check_samples(self._end, self._ticks)
        duration = (self._end - ascending[0]) * self._time_base if ascending and self._end is not None else None
        if kind == "video" and fields["codec"]:
            rate, constant = self._rate(ascending)
            if duration is not None and not self._last[1] and rate:
                duration += 1 / rate  # the last packet does not say how long it is shown
            fields["video"] = self._video(ascending, rotation, rate, constant)
        if kind == "audio" and fields["codec"]:
            fields["audio"] = self._audio(duration)
        fields["duration"] = wire.pack_fraction(duration)
        return fields

    def _rate(self, ascending: list[int]) -> tuple[Fraction | None, bool]:
        claimed = [rate for rate in (self._stream.guessed_rate, self._stream.average_rate) if rate]
        if len(ascending) < 2:
            return (claimed[0] if claimed else None), True
        exact = constant_rate(ascending, self._time_base, claimed)
        if exact is not None:
            return exact, True
        span = (ascending[-1] - ascending[0]) * self._time_base
        return (Fraction(len(ascending) - 1) / span if span else None), False

    def _video(self, ascending: list[int], rotation: int, rate: Fraction | None, constant: bool) -> dict[str, Any]:
        context = self._stream.codec_context
        return {
            "width": context.width,
            "height": context.height,
            "pixel_format": context.pix_fmt,
            "pixel_aspect": wire.pack_fraction(context.sample_aspect_ratio or Fraction(1)),
            "rotation": rotation,
            "rate": wire.pack_fraction(rate),
            "variable_rate": not constant,
            "frames": self._packets,
            "keyframes": self._keyframes,
            "reordered": list(self._pts) != ascending,
        }

    def _audio(self, duration: Fraction | None) -> dict[str, Any]:
        context = self._stream.codec_context
        return {
            "sample_rate": context.sample_rate,
            "channels": context.layout.nb_channels,
            "layout": context.layout.name,
            "samples": None if duration is None else round(duration * context.sample_rate),
        }


def _language(stream: Any) -> str | None:
    language = stream.metadata.get("language")
    return None if language in (None, "", "und") else str(language)[:16]
