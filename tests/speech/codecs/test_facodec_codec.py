"""The codec on random weights: lengths, streaming equals whole, bounded memory, determinism, refusals."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.speech.codecs import Codec, Tokens
from dubflow.speech.codecs.facodec.codec import FacodecCodec
from dubflow.speech.codecs.facodec.config import HOP, FacodecConfig
from dubflow.speech.codecs.facodec.windows import Grid, windows
from speech.codecs.facodec_published import random_codec, random_network

pytestmark = pytest.mark.slow

TINY = FacodecConfig.tiny()
SECONDS_OF_ONE_WINDOW = 1e4


@pytest.fixture(scope="module")
def codec() -> FacodecCodec:
    return random_codec(TINY, chunk_seconds=1.0)


@pytest.fixture(scope="module")
def whole() -> FacodecCodec:
    """The same weights, every file in a single window."""
    return random_codec(TINY, chunk_seconds=SECONDS_OF_ONE_WINDOW)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Noise whose level wanders."""
    random = np.random.default_rng(seed)
    turns = samples // 4_000 + 2
    level = np.interp(np.arange(samples), np.linspace(0, samples, turns), random.uniform(0.05, 0.5, turns))
    return (level * random.normal(size=samples)).clip(-1, 1).astype(np.float32)


def test_it_is_a_codec(codec: FacodecCodec) -> None:
    declared: Codec = codec
    assert declared.id == "random-0"


def test_the_number_of_frames_for_every_length_to_2000() -> None:
    """``L = ceil(N / 200)`` for every N; what is windowed is what is encoded, see the next test."""
    for samples in range(1, 2001):
        parts = list(windows([np.ones(samples, np.float32)], Grid(HOP, 3, 2, 2)))
        assert sum(part.keep for part in parts) == -(-samples // HOP)
        assert all(part.values.shape[-1] % HOP == 0 for part in parts)


@pytest.mark.parametrize("samples", [1, 2, 199, 200, 201, 399, 400, 401, 999, 1000, 1001, 1799, 1800, 1801, 2000])
def test_token_and_waveform_lengths_at_the_edges(codec: FacodecCodec, samples: int) -> None:
    tokens = codec.encode(noise(samples))
    assert len(tokens) == -(-samples // HOP)
    assert codec.decode(tokens).shape == (len(tokens) * HOP,)


@given(samples=st.integers(1, 50_000), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=25)
def test_token_and_waveform_lengths(codec: FacodecCodec, samples: int, seed: int) -> None:
    tokens = codec.encode(noise(samples, seed))
    length = -(-samples // HOP)
    assert [getattr(tokens, name).shape for name in Tokens.BOOKS] == [(1, length), (2, length), (3, length)]
    waveform = codec.decode(tokens)
    assert waveform.shape == (length * HOP,)
    assert waveform.dtype == np.float32
    assert np.abs(waveform).max() <= 1


def test_the_end_is_filled_with_zeros(codec: FacodecCodec) -> None:
    waveform = noise(3_050)
    assert codec.encode(waveform) == codec.encode(np.pad(waveform, (0, 150)))


def test_no_tokens_make_no_sound(codec: FacodecCodec) -> None:
    empty = {name: np.zeros((books, 0), np.int64) for name, books in Tokens.BOOKS.items()}
    assert codec.decode(Tokens(**empty, speaker=np.zeros(TINY.latent_dim, np.float32))).shape == (0,)


# --- streaming equals whole ---


def test_windows_give_the_tokens_of_the_whole_file(codec: FacodecCodec, whole: FacodecCodec) -> None:
    waveform = noise(16_000 * 12 + 77)
    tokens, reference = codec.encode(waveform), whole.encode(waveform)
    for name in Tokens.BOOKS:
        assert np.array_equal(getattr(tokens, name), getattr(reference, name))
        assert len(np.unique(getattr(tokens, name))) > 60  # otherwise being equal would say little
    np.testing.assert_allclose(tokens.speaker, reference.speaker, rtol=1e-4, atol=1e-5)


def test_windows_give_the_waveform_of_the_whole_file(codec: FacodecCodec, whole: FacodecCodec) -> None:
    tokens = whole.encode(noise(16_000 * 12 + 77))
    reference = whole.decode(tokens)
    assert reference.std() > 0.05
    np.testing.assert_allclose(codec.decode(tokens), reference, rtol=0, atol=2e-5)


@pytest.mark.parametrize("frames", [1, 25, 26, 27, 80, 81, 107, 160, 233])
def test_latents_of_windows_are_exact_to_double_precision(frames: int) -> None:
    network = random_network(TINY, dtype=torch.float64)
    waveform = noise(frames * HOP).astype(np.float64)
    expected = network.encoder(torch.from_numpy(waveform)[None])
    parts = [
        network.encoder(torch.from_numpy(part.values)[None])[:, part.skip : part.skip + part.keep]
        for part in windows([waveform], Grid(HOP, 80, *network.encoder.halo()))
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=1e-12, atol=1e-12)


def test_less_than_the_halo_would_not_do() -> None:
    network = random_network(TINY, dtype=torch.float64)
    waveform = noise(240 * HOP).astype(np.float64)
    expected = network.encoder(torch.from_numpy(waveform)[None])
    parts = [
        network.encoder(torch.from_numpy(part.values)[None])[:, part.skip : part.skip + part.keep]
        for part in windows([waveform], Grid(HOP, 80, 13, 13))
    ]
    assert not torch.allclose(torch.cat(parts, dim=1), expected, rtol=1e-9, atol=1e-9)


@given(cuts=st.lists(st.integers(0, 40_000), max_size=8))
@settings(deadline=None, max_examples=10)
def test_a_stream_gives_the_same_bits_however_it_is_cut(codec: FacodecCodec, cuts: list[int]) -> None:
    waveform = noise(40_000)
    edges = [0, *sorted(cuts), 40_000]
    assert codec.encode_stream(waveform[a:b] for a, b in pairwise(edges)) == codec.encode(waveform)


def test_decoded_blocks_lie_end_to_end(codec: FacodecCodec) -> None:
    tokens = codec.encode(noise(16_000 * 3 + 5))
    blocks = list(codec.decode_stream(tokens))
    assert [block.size for block in blocks] == [16_000, 16_000, 16_000, 200]
    assert np.array_equal(np.concatenate(blocks), codec.decode(tokens))


@given(
    lengths=st.lists(st.integers(0, 60), max_size=12),
    hop=st.integers(1, 4),
    chunk=st.integers(1, 7),
    before=st.integers(0, 9),
    after=st.integers(0, 9),
)
@settings(deadline=None, max_examples=200)
def test_windows_cover_everything_once_with_their_neighbours(
    lengths: list[int], hop: int, chunk: int, before: int, after: int
) -> None:
    total = sum(lengths)
    values = np.arange(1, total + 1)
    frames = np.pad(values, (0, -total % hop)).reshape(-1, hop)
    blocks = np.split(values, np.cumsum(lengths)[:-1]) if lengths else []
    done = 0
    for part in windows(blocks, Grid(hop, chunk, before, after)):
        start, stop = max(0, done - before), min(len(frames), min(len(frames), done + chunk) + after)
        assert np.array_equal(part.values.reshape(-1, hop), frames[start:stop])
        assert (part.skip, part.keep) == (done - start, min(chunk, len(frames) - done))
        done += part.keep
    assert done == len(frames)


def test_a_long_stream_is_read_as_it_is_needed() -> None:
    """At no time more than a window and a block are held: what was read and not yet dropped is counted."""
    read = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal read
        for _ in range(3_000):
            read += 160
            yield np.zeros(160, np.float32)

    done, grid = 0, Grid(HOP, 80, 26, 26)
    for part in windows(blocks(), grid):
        done += part.keep
        assert part.values.size <= (80 + 26 + 26) * HOP
        assert read <= (done + 26) * HOP + 160
    assert done * HOP == 3_000 * 160


# --- one utterance does not know of another ---


def test_encoding_depends_on_nothing_before_it(codec: FacodecCodec) -> None:
    utterances = [noise(9_000 + 311 * seed, seed) for seed in range(4)]
    first = [codec.encode(utterance) for utterance in utterances]
    backwards = [codec.encode(utterance) for utterance in reversed(utterances)][::-1]
    assert first == backwards
    assert [random_codec(TINY, chunk_seconds=1.0).encode(utterance) for utterance in utterances] == first
    assert not np.allclose(first[0].speaker, first[1].speaker)


def test_decoding_is_deterministic(codec: FacodecCodec) -> None:
    tokens = codec.encode(noise(20_000))
    assert np.array_equal(codec.decode(tokens), codec.decode(tokens))


def test_the_speaker_changes_the_sound(codec: FacodecCodec) -> None:
    mine, other = codec.encode(noise(8_000, 1)), codec.encode(noise(8_000, 2))
    swapped = codec.decode(dataclasses.replace(mine, speaker=other.speaker))
    assert np.abs(swapped - codec.decode(mine)).max() > 1e-3


def test_the_speaker_is_that_of_the_first_seconds() -> None:
    limited = random_codec(TINY.model_copy(update={"speaker_seconds": 0.5}), chunk_seconds=0.3)
    waveform = noise(48_000)
    reach = (40 + limited._network.encoder.halo()[1]) * HOP
    later, earlier = waveform.copy(), waveform.copy()
    later[reach:] = 0
    earlier[: reach - 2_000] = 0
    speaker = limited.encode(waveform).speaker
    assert np.array_equal(limited.encode(later).speaker, speaker)
    assert not np.allclose(limited.encode(earlier).speaker, speaker)
    assert not np.allclose(random_codec(TINY, chunk_seconds=0.3).encode(waveform).speaker, speaker)


# --- refusals ---


@pytest.mark.parametrize(
    "waveform",
    [
        np.zeros(0, np.float32),
        np.zeros((2, 400), np.float32),
        np.zeros(400, np.int16),
        np.array([0.1, np.nan], np.float32),
        np.array([0.1, -np.inf], np.float32),
    ],
)
def test_what_is_no_waveform_is_refused(codec: FacodecCodec, waveform: np.ndarray) -> None:
    with pytest.raises(BadInput) as refused:
        codec.encode(waveform)
    assert refused.value.code == "speech.bad_waveform"


def test_a_speaker_vector_of_another_codec_is_refused(codec: FacodecCodec) -> None:
    tokens = dataclasses.replace(codec.encode(noise(800)), speaker=np.zeros(5, np.float32))
    with pytest.raises(BadInput) as refused:
        codec.decode_stream(tokens)
    assert refused.value.code == "speech.bad_tokens"
