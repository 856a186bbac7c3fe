"""Streaming gives what reading gives, piece by piece, and stops when its reader stops."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dubflow.errors import WrongUse
from dubflow.media._picture import CHUNK_BYTES
from dubflow.media.decode import read_audio, read_clip, stream_audio, stream_frames
from dubflow.media.encode import write_audio, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Forty frames of 512x512 and twelve seconds of noise."""
    path = tmp_path_factory.mktemp("stream") / "clip.mp4"
    random = np.random.default_rng(0)
    base = random.integers(0, 256, (8, 8, 3), np.uint8).repeat(64, 0).repeat(64, 1)
    sound = random.normal(0, 0.1, 12 * 44100).astype(np.float32)
    write_clip(
        path, (np.roll(base, 8 * i, 1) for i in range(40)), Fraction(30000, 1001), sound, 44100, preset="ultrafast"
    )
    return path


def test_chunks_joined_are_the_whole(clip):
    whole = read_clip(clip)
    chunks = list(stream_frames(clip))
    assert len(chunks) > 2
    assert all(chunk.nbytes <= CHUNK_BYTES for chunk in chunks)
    assert np.array_equal(np.concatenate(chunks), whole.frames)
    pieces = list(stream_audio(clip))
    assert len(pieces) > 2
    assert np.array_equal(np.concatenate(pieces), whole.waveform)
    assert np.array_equal(read_audio(clip), whole.waveform)


def test_chunks_are_the_callers_to_keep(clip):
    first, *_ = kept = list(stream_frames(clip))
    copy = first.copy()
    kept[1][:] = 0
    assert np.array_equal(first, copy)


def test_a_reader_may_stop_early(clip):
    for _ in range(5):
        for chunk in stream_frames(clip):
            assert len(chunk)
            break
        for piece in stream_audio(clip):
            assert len(piece)
            break


def test_an_odd_rate_has_an_exact_length(tmp_path):
    write_audio(tmp_path / "x.wav", np.zeros(100001, np.float32) + 0.25, 48000)
    for rate in (16000, 22050, 11025, 7350):
        assert sum(map(len, stream_audio(tmp_path / "x.wav", rate))) == round(100001 * rate / 48000)


@pytest.mark.parametrize("rate", [0, -5])
def test_rates_must_be_positive(clip, rate):
    for call in (lambda: list(stream_frames(clip, rate)), lambda: list(stream_audio(clip, rate))):
        with pytest.raises(WrongUse) as caught:
            call()
        assert caught.value.code == "media.bad_rate"
