"""Clips made for the tests: frames that carry their own number, timestamps chosen tick by tick, clicks in the sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubflow.errors import DubflowError

SIDE = 64
BITS = 16


def numbered_frame(number: int) -> np.ndarray:
    """A 64x64 picture that shows ``number`` as a 4x4 grid of black and white blocks, lowest bit first."""
    bits = np.array([(number >> bit) & 1 for bit in range(BITS)], np.uint8).reshape(4, 4) * 255
    grey = bits.repeat(SIDE // 4, axis=0).repeat(SIDE // 4, axis=1)
    return np.repeat(grey[:, :, None], 3, axis=2)


def shown_number(frame: np.ndarray) -> int:
    """The number that a decoded picture shows, whatever its size; fails on anything grey."""
    height, width = frame.shape[:2]
    rows = (np.arange(4) * 2 + 1) * height // 8
    columns = (np.arange(4) * 2 + 1) * width // 8
    values = frame[rows][:, columns].mean(axis=2).reshape(-1)
    assert ((values < 64) | (values > 192)).all(), "a block is neither black nor white"
    return int(sum(1 << bit for bit, value in enumerate(values) if value > 128))


class ClipMaker:
    """Writes clips straight through PyAV, with every timestamp as asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def video(
        self,
        name: str,
        ticks: Sequence[int],
        time_base: Fraction,
        *,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        muxer: dict[str, str] | None = None,
        file_format: str | None = None,
        rotation: int = 0,
        rate: Fraction | None = None,
        sound: np.ndarray | None = None,
        sound_rate: int = 16000,
        sound_start: Fraction = Fraction(0),
        sound_codec: str = "aac",
        last_duration: int | None = None,
    ) -> Path:
        """Frame ``i`` shows the number ``i`` and appears at ``ticks[i]``."""
        path = self.folder / name
        fallback = {"crf": "12", "preset": "ultrafast"} if codec == "libx264" else {}
        with av.open(str(path), "w", format=file_format, options=muxer or {}) as container:
            stream = container.add_stream(codec, rate=rate or Fraction(25), options={**fallback, **(options or {})})
            stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
            stream.codec_context.time_base = time_base
            stream.time_base = time_base
            if rotation:
                stream.set_display_rotation(rotation)
            track = None
            if sound is not None:
                track = container.add_stream(sound_codec, rate=sound_rate, layout="mono")
            packets = []
            for index, tick in enumerate(ticks):
                frame = av.VideoFrame.from_ndarray(numbered_frame(index), format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = tick, time_base
                packets += stream.encode(frame)
            packets += stream.encode(None)
            if last_duration is not None:
                max(packets, key=lambda packet: packet.pts).duration = last_duration
            if track is not None:
                packets += self._sound_packets(track, sound, sound_rate, sound_start)
            packets.sort(key=lambda packet: packet.dts * packet.time_base)
            for packet in packets:
                container.mux(packet)
        return path

    def audio(self, name: str, sound: np.ndarray, rate: int, codec: str, file_format: str | None = None) -> Path:
        """A file with sound alone."""
        path = self.folder / name
        with av.open(str(path), "w", format=file_format) as container:
            track = container.add_stream(codec, rate=rate, layout="mono")
            for packet in self._sound_packets(track, sound, rate, Fraction(0)):
                container.mux(packet)
        return path

    @staticmethod
    def _sound_packets(track, sound: np.ndarray, rate: int, start: Fraction) -> list:
        packets, size = [], 1024
        sample_format = track.codec_context.format.name
        for position in range(0, len(sound), size):
            piece = np.ascontiguousarray(sound[None, position : position + size], np.float32)
            if sample_format[:3] in ("s16", "s32"):
                kind = np.dtype(f"int{sample_format[1:3]}")
                piece = (piece.astype(np.float64) * np.iinfo(kind).max).astype(kind)
            frame = av.AudioFrame.from_ndarray(piece, format=sample_format, layout="mono")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(start * rate) + position
            packets += track.encode(frame)
        return packets + track.encode(None)


@pytest.fixture
def maker(tmp_path: Path) -> ClipMaker:
    """Writes clips into this test's folder."""
    return ClipMaker(tmp_path)


@pytest.fixture(scope="session")
def session_maker(tmp_path_factory: pytest.TempPathFactory) -> ClipMaker:
    """Writes clips that many tests share."""
    return ClipMaker(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def shown() -> Callable[[np.ndarray], list[int]]:
    """The numbers that a sequence of pictures shows."""
    return lambda frames: [shown_number(frame) for frame in frames]


@pytest.fixture(scope="session")
def numbered() -> Callable[[int], np.ndarray]:
    """A picture that shows a number."""
    return numbered_frame


@pytest.fixture
def code_of() -> Callable[[Callable[[], object]], str]:
    """The code of the typed error that a call raises; anything untyped fails the test."""

    def code(call: Callable[[], object]) -> str:
        with pytest.raises(DubflowError) as caught:
            call()
        assert caught.value.headline
        return caught.value.code

    return code


def clicks(seconds: float, rate: int, at: Sequence[float]) -> np.ndarray:
    """Silence with a short loud burst beginning at each given second."""
    sound = np.zeros(round(seconds * rate), np.float32)
    for moment in at:
        start = round(moment * rate)
        sound[start : start + rate // 200] = 0.8
    return sound


@pytest.fixture(scope="session")
def clicking() -> Callable[[float, int, Sequence[float]], np.ndarray]:
    """Silence with clicks at given seconds."""
    return clicks
