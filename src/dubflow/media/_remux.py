"""Inside the decoding process: another sound for the same picture.

Packets of picture and subtitles pass from demuxer to muxer untouched, all moved together so that the first picture is
shown at time zero: only there can MP4 hide the AAC encoder's priming. Only the new sound is encoded. The source is
untrusted, so this too happens where nothing can be opened: the output is a descriptor that the parent opened.
"""

from __future__ import annotations

import os
import socket
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer

from dubflow.media import wire
from dubflow.media._container import DescriptorFile, Untrusted, codec_name, default_stream, playable
from dubflow.media._picture import first_picture_time, frame_step, mean_rate
from dubflow.media.clip import Waveform
from dubflow.media.mp4 import SoundTrack, movie_time_scale

# What stands between two texts of an MP4 text track; the muxer puts its own where they are needed.
_NO_TEXT = b"\0\0"


def run(untrusted: Untrusted, arguments: dict[str, Any], answers: socket.socket, files: list[int]) -> None:
    """Task ``replace_audio``: writes the output, then ``end``.

    Arguments: ``sample_rate``, ``format`` (mp4 or mov), ``language`` of the new sound or None. ``files``: the output,
    and the waveform as raw float32.
    """
    output, sound_file = files
    sound = np.frombuffer(DescriptorFile(sound_file).read(), np.float32)
    start = first_picture_time(untrusted, None)
    with untrusted.open() as source:
        videos = playable(source, "video")
        rate = mean_rate(videos[0])
        time_scale = movie_time_scale(rate, arguments["sample_rate"])
        try:
            with av.open(
                WritableDescriptorFile(output),
                "w",
                format=arguments["format"],
                options={"movflags": "+faststart", "movie_timescale": str(time_scale), "fflags": "+bitexact"},
                io_open=lambda url, flags, options: DescriptorFile(output),
            ) as target:
                _copy(untrusted, source, target, sound, start, arguments)
        except (av.error.ArgumentError, av.error.InvalidDataError, av.error.PatchWelcomeError, ValueError) as error:
            untrusted.refuse(
                "media.cannot_copy",
                f"holds streams that {arguments['format'].upper()} cannot take as they are ({error})",
                "Convert it to H.264 in MP4 first.",
            )
    wire.send(answers, "end")


def _copy(
    untrusted: Untrusted,
    source: InputContainer,
    target: OutputContainer,
    sound: Waveform,
    start: Fraction,
    arguments: dict[str, Any],
) -> None:
    kept = {}
    for stream in [*playable(source, "video"), *playable(source, "subtitle")]:
        if codec_name(stream) is None:
            untrusted.refuse(
                "media.unsupported_codec", "holds a stream in an unknown codec", "Convert it to H.264 first."
            )
        copy = target.add_stream_from_template(stream)
        copy.time_base = stream.time_base
        copy.metadata.update({k: v for k, v in stream.metadata.items() if k == "language"})
        kept[stream.index] = copy
    track = SoundTrack(target, sound, arguments["sample_rate"])
    if arguments["language"]:
        track.set_language(arguments["language"])
    videos = [stream.index for stream in playable(source, "video")]
    # Transport streams do not say how long a picture is shown; MP4 would show the last one for a tick.
    steps = {index: frame_step(source.streams[index]) for index in videos}
    leading = default_stream(playable(source, "video")).index
    for packet in source.demux([source.streams[index] for index in kept]):
        if not packet.size:
            continue
        _start_at(packet, start)
        if packet.stream_index in videos and not packet.duration:
            packet.duration = steps[packet.stream_index]
        if packet.stream_index not in videos and (bytes(packet) == _NO_TEXT or not _cut_before_zero(packet)):
            continue
        index = packet.stream_index
        if index == leading and packet.dts is not None:
            track.write_until(packet.dts * packet.time_base)
        packet.stream = kept[index]
        target.mux(packet)
    track.finish()


def _start_at(packet: Any, start: Fraction) -> None:
    """Move a packet so that what was at ``start`` is at zero."""
    shift = round(start / packet.time_base)
    if packet.pts is not None:
        packet.pts -= shift
    if packet.dts is not None:
        packet.dts -= shift


def _cut_before_zero(packet: Any) -> bool:
    """Cut what a text packet has before the first picture; False when nothing is left of it."""
    if packet.pts is None or packet.pts >= 0:
        return True
    end: int = packet.pts + (packet.duration or 0)
    packet.pts = packet.dts = 0
    packet.duration = max(0, end)
    return end > 0


class WritableDescriptorFile(DescriptorFile):
    """A file object that writes to an open descriptor at a position of its own."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write all of ``data`` at the position."""
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):
            written += os.pwrite(self._descriptor, view[written:], self._position + written)
        self._position += written
        return written
