"""Inside the decoding process: another sound for the same picture.

Packets of picture and subtitles pass from demuxer to muxer untouched; only the new sound is encoded. The source is
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
from dubflow.media._container import DescriptorFile, Untrusted, codec_name, playable
from dubflow.media._picture import first_picture_time
from dubflow.media.clip import Waveform
from dubflow.media.mp4 import SoundTrack, movie_time_scale


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
        rate = videos[0].average_rate or Fraction(25)
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
                "cannot_copy",
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
            untrusted.refuse("unsupported_codec", "holds a stream in an unknown codec", "Convert it to H.264 first.")
        copy = target.add_stream_from_template(stream)
        copy.time_base = stream.time_base
        copy.metadata.update({k: v for k, v in stream.metadata.items() if k == "language"})
        kept[stream.index] = copy
    track = SoundTrack(target, sound, arguments["sample_rate"], start)
    if arguments["language"]:
        track.set_language(arguments["language"])
    leading = playable(source, "video")[0].index
    for packet in source.demux([source.streams[index] for index in kept]):
        if not packet.size:
            continue
        index = packet.stream_index
        if index == leading and packet.dts is not None:
            track.write_until(packet.dts * packet.time_base - start)
        packet.stream = kept[index]
        target.mux(packet)
    track.finish()


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
