"""Laws of the quantisers, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.speech.codecs.facodec.config import FacodecConfig
from dubflow.speech.codecs.facodec.quantizer import Codebook, ResidualQuantizer
from speech.codecs.facodec_published import random_network

TINY = FacodecConfig.tiny()


@pytest.fixture(scope="module")
def decoder():  # type: ignore[no-untyped-def]
    return random_network(TINY, dtype=torch.float64).decoder


def by_hand(book: Codebook, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes ``[T]`` and projected rows ``[T, C]`` of latents ``[T, C]``, one pair of vectors at a time."""
    inward, outward = book.in_proj, book.out_proj
    rows = book._codebook.weight.numpy()
    low = x @ inward.weight().numpy().T + inward.bias.numpy()
    cosine = (low / np.linalg.norm(low, axis=1, keepdims=True)) @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
    codes = cosine.argmax(axis=1)
    return codes, rows[codes] @ outward.weight().numpy().T + outward.bias.numpy()


def test_a_book_finds_by_direction_and_returns_the_row_as_it_stands(decoder) -> None:  # type: ignore[no-untyped-def]
    book = decoder.quantizer[0].layers[0]
    x = torch.randn(1, 50, TINY.latent_dim, dtype=torch.float64)
    codes, latents = by_hand(book, x[0].numpy())
    assert book.nearest(x)[0].tolist() == codes.tolist()
    torch.testing.assert_close(book.embed(book.nearest(x))[0], torch.from_numpy(latents))
    assert len(set(codes.tolist())) > 30  # the comparison is about something


def test_lengths_of_rows_change_the_embedding_and_not_the_choice() -> None:
    book = Codebook(6, 4).double().requires_grad_(False)
    x = torch.randn(1, 40, 6, dtype=torch.float64)
    codes, latents = book.nearest(x), book.embed(book.nearest(x))
    book._codebook.weight.mul_(3)
    assert torch.equal(book.nearest(x), codes)
    torch.testing.assert_close(book.embed(codes) - book.out_proj.bias, 3 * (latents - book.out_proj.bias))


def test_the_length_of_a_vector_does_not_change_its_code() -> None:
    book = Codebook(6, 4).double().requires_grad_(False)
    book.in_proj.bias.zero_()
    x = torch.randn(1, 40, 6, dtype=torch.float64)
    assert torch.equal(book.nearest(x), book.nearest(7.5 * x))


def test_a_row_of_zeros_is_not_nearest_to_anything_near_another_row() -> None:
    book = Codebook(4, 4).double().requires_grad_(False)
    book._codebook.weight.copy_(torch.ones(4))
    book._codebook.weight[0] = 0
    x = torch.linalg.solve(book.in_proj.weight(), torch.ones(4).double() - book.in_proj.bias)
    assert book.nearest(x[None, None]).item() == 1


def test_each_book_of_a_stack_codes_what_is_left(decoder) -> None:  # type: ignore[no-untyped-def]
    stack = decoder.quantizer[2]
    x = torch.randn(1, 30, TINY.latent_dim, dtype=torch.float64)
    codes, total = stack(x)
    rest = x[0].numpy()
    for number, book in enumerate(stack.layers):
        expected, latents = by_hand(book, rest)
        assert codes[number, 0].tolist() == expected.tolist()
        rest = rest - latents
    torch.testing.assert_close(total[0], x[0] - torch.from_numpy(rest))


def test_prosody_and_content_see_the_latents_and_acoustic_the_rest(decoder) -> None:  # type: ignore[no-untyped-def]
    x = torch.randn(1, 30, TINY.latent_dim, dtype=torch.float64)
    codes = decoder.quantize(x)
    prosody, content, acoustic = decoder.quantizer
    p_codes, p = prosody(x)
    c_codes, c = content(x)
    a_codes, a = acoustic(x - (p + c))
    assert codes.shape == (6, 1, 30)
    assert torch.equal(codes, torch.cat([p_codes, c_codes, a_codes]))
    assert [len(part) for part in (p_codes, c_codes, a_codes)] == [1, 2, 3]
    torch.testing.assert_close(decoder.embed(codes), p + c + a)
    assert not torch.equal(a_codes, acoustic(x)[0])  # the rest is another thing than the latents


def test_embedding_is_the_sum_of_every_book(decoder) -> None:  # type: ignore[no-untyped-def]
    codes = torch.randint(0, 1024, (6, 2, 9))
    books = [book for stack in decoder.quantizer for book in stack.layers]
    expected = sum(book.embed(codes[number]) for number, book in enumerate(books))
    torch.testing.assert_close(decoder.embed(codes), expected)


@given(books=st.integers(1, 3), frames=st.integers(1, 20), seed=st.integers(0, 20))
@settings(deadline=None, max_examples=15)
def test_what_a_stack_sums_up_is_what_its_codes_embed(books: int, frames: int, seed: int) -> None:
    torch.manual_seed(seed)
    stack = ResidualQuantizer(books, 6, 3).double().requires_grad_(False)
    codes, total = stack(torch.randn(2, frames, 6, dtype=torch.float64))
    assert codes.shape == (books, 2, frames)
    torch.testing.assert_close(stack.embed(codes), total)
