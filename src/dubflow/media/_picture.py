"""Inside the decoding process: the picture of a file, resampled in time and sent in chunks."""

from __future__ import annotations

import socket
from array import array
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer

from dubflow.media import wire
from dubflow.media._container import Untrusted, decoded
from dubflow.media.clip import FrameArray
from dubflow.media.colour import colour_matrix
from dubflow.media.timing import FrameSampler

CHUNK_BYTES = 8 * 2**20
# A timestamp may fall behind the one before it by this much (broken writers); more is another recording.
BACKWARDS_S = 1
_UNSPECIFIED_MATRIX = 2
_FALLBACK_RATE = Fraction(25)


def run(untrusted: Untrusted, arguments: dict[str, Any], answers: socket.socket, files: list[int]) -> None:
    """Task ``frames``: ``picture``, then chunks of ``frames``, then ``index`` and ``end``.

    Arguments: ``fps`` (fraction or None for every source frame once), ``track``.
    """
    fps = wire.unpack_fraction(arguments["fps"])
    with untrusted.open() as container:
        stream = untrusted.choose(container, "video", arguments["track"])
        Picture(untrusted, container, stream, fps, answers).send()


class PresentationTimes:
    """Presentation ticks of frames in the order they are shown, whatever a container leaves out.

    A frame without a time follows the one before it by the stream's rate; one that is a little early waits for it.
    """

    def __init__(self, untrusted: Untrusted, stream: Any) -> None:
        self._untrusted = untrusted
        self.time_base: Fraction = stream.time_base
        self._step = frame_step(stream)
        self.ticks = array("q")
        self.guessed = 0
        self._duration = 0

    def add(self, frame: av.VideoFrame) -> int:
        """The tick at which ``frame`` is shown."""
        previous = self.ticks[-1] if self.ticks else None
        tick = frame.pts
        if tick is None:
            tick = 0 if previous is None else previous + self._step
            self.guessed += 1
        elif previous is not None and tick < previous:
            if (previous - tick) * self.time_base > BACKWARDS_S:
                self._untrusted.damaged("its picture's time runs backwards")
            tick = previous
            self.guessed += 1
        self.ticks.append(tick)
        self._duration = frame.duration or 0
        self._untrusted.check_seconds((tick - self.ticks[0]) * self.time_base)
        return tick

    def end(self) -> int:
        """The tick at which the last frame disappears: by its own duration, else by the gap before it, else by rate."""
        gap = self.ticks[-1] - self.ticks[-2] if len(self.ticks) > 1 else self._step
        end = self.ticks[-1] + (self._duration if self._duration > 0 else max(1, gap))
        self._untrusted.check_seconds((end - self.ticks[0]) * self.time_base)
        return end


class Picture:
    """One pass over the picture of an open file."""

    def __init__(
        self, untrusted: Untrusted, container: InputContainer, stream: Any, fps: Fraction | None, answers: socket.socket
    ) -> None:
        self._untrusted, self._container, self._stream, self._answers = untrusted, container, stream, answers
        self._fps = fps
        self._times = PresentationTimes(untrusted, stream)
        self._map = array("q")
        self._size: tuple[int, int] | None = None
        self._chunk: FrameArray = np.empty((0, 0, 0, 3), np.uint8)
        self._filled = 0

    def send(self) -> None:
        """Decode, resample and send everything."""
        sampler = FrameSampler(self._times.time_base, self._fps)
        held: av.VideoFrame | None = None
        for frame in decoded(self._untrusted, self._container, self._stream, _ignore):
            self._untrusted.check_pixels(frame.width, frame.height)
            count = sampler.show(self._times.add(frame))
            if held is not None:
                self._repeat(held, count, len(self._times.ticks) - 2)
            held = frame
        if held is None:
            self._untrusted.damaged("no picture in it decodes")
        self._repeat(held, sampler.finish(self._times.end()), len(self._times.ticks) - 1)
        self._flush()
        self._send_index()

    def _repeat(self, frame: av.VideoFrame, count: int, index: int) -> None:
        # A frame that is never shown is never converted, which is half of the work at twice the rate.
        if count == 0:
            return
        pixels = rgb(frame, self._size)
        if self._size is None:
            self._begin(frame, pixels)
        for _ in range(count):
            self._chunk[self._filled] = pixels
            self._filled += 1
            if self._filled == len(self._chunk):
                self._flush()
        self._map.extend([index] * count)

    def _begin(self, frame: av.VideoFrame, pixels: FrameArray) -> None:
        self._size = (frame.height, frame.width)
        height, width = pixels.shape[:2]
        self._chunk = np.empty((max(1, CHUNK_BYTES // pixels.nbytes), height, width, 3), np.uint8)
        rate = mean_rate(self._stream)
        seconds = Fraction(self._container.duration or 0, av.time_base)
        wire.send(
            self._answers,
            "picture",
            height=height,
            width=width,
            stream=self._stream.index,
            rate=wire.pack_fraction(rate),
            expected=int(seconds * (self._fps or rate)) + 2,
            container=self._container.format.name,
        )

    def _flush(self) -> None:
        if self._filled:
            wire.send(self._answers, "frames", self._chunk[: self._filled].data.cast("B"), count=self._filled)
        self._filled = 0

    def _send_index(self) -> None:
        ticks = self._times.ticks
        guessed = self._times.guessed
        wire.send(
            self._answers,
            "index",
            memoryview(ticks.tobytes() + self._map.tobytes()),
            source=len(ticks),
            shown=len(self._map),
            time_base=wire.pack_fraction(self._times.time_base),
            notices=[f"{guessed} frames had no usable time; they follow the frame before them"] if guessed else [],
        )
        wire.send(self._answers, "end")


def mean_rate(stream: Any) -> Fraction:
    """Frames a second as the container puts it; 25 where it says nothing."""
    return Fraction(stream.average_rate or stream.guessed_rate or _FALLBACK_RATE)


def frame_step(stream: Any) -> int:
    """Ticks from one frame to the next at the stream's mean rate, at least 1."""
    return max(1, round(1 / (mean_rate(stream) * Fraction(stream.time_base))))


def first_picture_time(untrusted: Untrusted, track: int | None) -> Fraction:
    """When the first picture is shown, in seconds on the container's clock."""
    with untrusted.open() as container:
        stream = untrusted.choose(container, "video", track)
        times = PresentationTimes(untrusted, stream)
        for frame in decoded(untrusted, container, stream, _ignore):
            return times.add(frame) * times.time_base
    untrusted.damaged("no picture in it decodes")


def rgb(frame: av.VideoFrame, size: tuple[int, int] | None) -> FrameArray:
    """A frame as a viewer sees it: uint8 ``[H, W, 3]``, the file's colour matrix and rotation applied.

    Args:
        size: height and width (before rotation) to scale to, since a stream may change its size; None keeps it.
    """
    height, width = size or (frame.height, frame.width)
    unspecified = frame.colorspace == _UNSPECIFIED_MATRIX and not frame.format.is_rgb
    matrix = colour_matrix(frame.height).swscale if unspecified else None
    shown = (
        frame.reformat(width=width, height=height, format="rgb24", src_colorspace=matrix, threads=1)
        .to_ndarray()
        .astype(np.uint8, copy=False)
    )
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(shown, turns)) if turns else shown


def _ignore(packet: object) -> None:
    """Packets of a picture need no bookkeeping."""
