"""Inside the decoding process: the sound of a file as mono, at one rate, on the clip's clock, sent in chunks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soxr

from dubflow.media import wire
from dubflow.media._container import Untrusted, decoded, playable
from dubflow.media._picture import BACKWARDS_S, first_picture_time
from dubflow.media.clip import Waveform
from dubflow.media.timing import resampled_count

CHUNK_SAMPLES = 2**16
# Timestamps wobble by a tick (a millisecond in Matroska); a hole in the sound is longer than that.
GAP_S = Fraction(1, 20)
# PyAV counts planes up to a null pointer, which is not there from eight channels on: it reads past the end and crashes.
_PLANES_MISCOUNTED = 8
_FULL_SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "s64": 2**63}


def run(untrusted: Untrusted, arguments: dict[str, Any], answers: socket.socket, files: list[int]) -> None:
    """Task ``sound``: ``sound``, then chunks of ``samples``, then ``end``.

    Arguments: ``sample_rate``, ``track``, ``video_track`` (whose first picture is time zero).
    """
    with untrusted.open() as container:
        untrusted.choose(container, "audio", arguments["track"])
        has_picture = bool(playable(container, "video"))
    origin = first_picture_time(untrusted, arguments["video_track"]) if has_picture else None
    with untrusted.open() as container:
        stream = untrusted.choose(container, "audio", arguments["track"])
        tracks = len(playable(container, "audio"))
        timeline = Timeline(untrusted, container, stream, origin)
        resampler: Resampler | None = None
        for samples in timeline.pieces():
            if resampler is None:
                resampler = Resampler(timeline.rate, arguments["sample_rate"])
                wire.send(answers, "sound", stream=stream.index, rate=timeline.rate, container=container.format.name)
            for chunk in resampler.feed(samples):
                wire.send(answers, "samples", chunk.data.cast("B"), count=len(chunk))
        if resampler is None:
            untrusted.damaged("no sound in it decodes")
        for chunk in resampler.finish():
            wire.send(answers, "samples", chunk.data.cast("B"), count=len(chunk))
        notices = list(timeline.notices)
        if tracks > 1 and arguments["track"] is None:
            notices.append(f"it has {tracks} audio tracks; stream {stream.index} was taken")
    wire.send(
        answers,
        "end",
        origin=wire.pack_fraction(timeline.origin),
        start_offset=wire.pack_fraction(timeline.start_offset),
        notices=notices,
    )


class Timeline:
    """Decoded mono samples at the source's rate, each at its place on the clip's clock.

    The sound starts where its first timestamp says: silence is put before a late start, an early start is cut. A jump
    ahead of more than 50 ms is filled with silence, an overlap is cut. Sound that MP4's packet durations leave out at
    the end (the encoder's padding) is cut.
    """

    def __init__(self, untrusted: Untrusted, container: Any, stream: Any, origin: Fraction | None) -> None:
        self._untrusted, self._container, self._stream = untrusted, container, stream
        self.origin = origin if origin is not None else Fraction(0)
        self._own_origin = origin is None
        self.start_offset = Fraction(0)
        self.rate = 0
        self.notices: list[str] = []
        self._declared_end: Fraction | None = None

    def pieces(self) -> Iterator[Waveform]:
        """Consecutive pieces from clip time zero on."""
        position = 0  # next sample on the clip's clock; negative while cutting an early start
        present = 0
        held: Waveform | None = None
        for frame in decoded(self._untrusted, self._container, self._stream, self._note_packet):
            samples = mono(frame)
            present += len(samples)
            if not self.rate:
                position = self._begin(frame)
                yield from _silence_in_chunks(max(0, position))
            elif frame.sample_rate != self.rate:
                self._untrusted.damaged("its sample rate changes")
            # One frame behind: only at the end it is known how much of the last frame is sound.
            if held is not None:
                yield held
            held = None
            hole = self._hole(frame, position)
            if hole > 0:
                # What is missing before time zero is cut like what is there.
                yield from _silence_in_chunks(max(0, position + hole) - max(0, position))
                position += hole
            samples = samples[max(0, -hole) :]
            cut = min(len(samples), max(0, -position))
            position += len(samples)
            held = samples[cut:]
            self._untrusted.check_seconds(Fraction(position, self.rate))
        self._untrusted.check_samples(position, present)
        if held is not None:
            excess = self._excess(position)
            yield held[: len(held) - excess] if excess <= len(held) else held

    def _begin(self, frame: av.AudioFrame) -> int:
        self.rate = frame.sample_rate
        if not self.rate or self.rate < 0:
            self._untrusted.damaged("its sound has no sample rate")
        start = self._time_of(frame)
        if self._own_origin:
            self.origin = start if start is not None else Fraction(0)
        if start is not None:
            self.start_offset = start - self.origin
        self._untrusted.check_seconds(abs(self.start_offset))
        return round(self.start_offset * self.rate)

    def _hole(self, frame: av.AudioFrame, position: int) -> int:
        """Samples missing before ``frame``; negative when it overlaps; 0 when it follows, give or take a wobble."""
        time = self._time_of(frame)
        if time is None:
            return 0
        hole = round((time - self.origin) * self.rate) - position
        if abs(hole) <= GAP_S * self.rate:
            return 0
        if hole < -BACKWARDS_S * self.rate:
            self._untrusted.damaged("its sound's time runs backwards")
        self._untrusted.check_seconds(Fraction(hole, self.rate))
        at = f"at {position / self.rate:.3f} s"
        self.notices.append(
            f"{hole / self.rate:.3f} s of sound are missing {at}; silence stands there"
            if hole > 0
            else f"{-hole / self.rate:.3f} s of sound overlap {at} and were cut"
        )
        return hole

    def _time_of(self, frame: av.AudioFrame) -> Fraction | None:
        return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base

    def _note_packet(self, packet: Any) -> None:
        if packet.pts is not None and packet.duration and not packet.is_discard:
            self._declared_end = (packet.pts + packet.duration) * packet.time_base

    def _excess(self, position: int) -> int:
        """Samples at the end that the container declares to be padding; only MP4 counts them exactly."""
        if self._untrusted.demuxer != "mov" or self._declared_end is None:
            return 0
        return max(0, position - round((self._declared_end - self.origin) * self.rate))


class Resampler:
    """Streaming rate conversion (soxr, high quality) to exactly ``resampled_count`` samples, in chunks."""

    def __init__(self, rate: int, new_rate: int) -> None:
        self._rate, self._new_rate = rate, new_rate
        same = rate == new_rate
        self._stream = None if same else soxr.ResampleStream(rate, new_rate, 1, dtype="float32", quality="HQ")
        self._taken = self._given = 0
        self._waiting: list[Waveform] = []
        self._waiting_samples = 0

    def feed(self, samples: Waveform) -> Iterator[Waveform]:
        """Take more; yields what is ready in large enough chunks."""
        self._taken += len(samples)
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples)
        yield from self._collect(samples, at_least=CHUNK_SAMPLES)

    def finish(self) -> Iterator[Waveform]:
        """Yield the rest, cut or padded to the exact count."""
        tail = silence(0) if self._stream is None else self._stream.resample_chunk(silence(0), last=True)
        missing = resampled_count(self._taken, self._rate, self._new_rate) - self._given - self._waiting_samples
        if len(tail) < missing:
            tail = np.concatenate([tail, silence(missing - len(tail))])
        yield from self._collect(tail[: max(0, missing)], at_least=1)

    def _collect(self, samples: Waveform, at_least: int) -> Iterator[Waveform]:
        if len(samples):
            self._waiting.append(samples)
            self._waiting_samples += len(samples)
        if self._waiting_samples >= at_least:
            whole = np.clip(np.concatenate(self._waiting), -1.0, 1.0)
            self._given += len(whole)
            self._waiting, self._waiting_samples = [], 0
            yield whole


def silence(count: int) -> Waveform:
    """``count`` zero samples."""
    return np.zeros(count, np.float32)


def _silence_in_chunks(count: int) -> Iterator[Waveform]:
    while count > 0:
        size = min(count, CHUNK_SAMPLES)
        yield silence(size)
        count -= size


def mono(frame: av.AudioFrame) -> Waveform:
    """The mean of a frame's channels, float32 ``[N]``, integers scaled so that full scale is 1."""
    channels = max(1, frame.layout.nb_channels)
    if frame.format.is_planar and channels >= _PLANES_MISCOUNTED:
        frame = _interleaved(frame)
    values = frame.to_ndarray()
    by_channel = values if frame.format.is_planar else values.reshape(-1, channels).T
    kind = frame.format.name.removesuffix("p")
    if kind in _FULL_SCALE:
        by_channel = (by_channel.astype(np.float64) - (2**7 if kind == "u8" else 0)) / _FULL_SCALE[kind]
    mixed = np.asarray(by_channel.mean(axis=0, dtype=np.float64), np.float32)
    return np.nan_to_num(mixed, nan=0.0, posinf=1.0, neginf=-1.0)


def _interleaved(frame: av.AudioFrame) -> av.AudioFrame:
    """The same samples with the channels in turns, in one plane."""
    turner = av.AudioResampler(format=frame.format.packed.name, layout=frame.layout, rate=frame.sample_rate)
    (turned,) = turner.resample(frame)
    return turned
