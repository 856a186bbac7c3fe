from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.speech.codecs.world.quantizer import ResidualQuantizer, fit_residual, kmeans, nearest


def test_nearest_is_the_nearest_by_definition() -> None:
    rng = np.random.default_rng(0)
    vectors, centres = (rng.normal(size=(n, 5)).astype(np.float32) for n in (9000, 17))
    owner, distance = nearest(vectors, centres)
    every = np.square(vectors[:, None] - centres[None]).sum(2)
    assert np.array_equal(owner, every.argmin(1))
    np.testing.assert_allclose(distance, every.min(1), rtol=1e-3, atol=1e-4)


def test_kmeans_finds_clusters_that_are_there() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(size=(20, 3)) * 10
    vectors = (true[rng.integers(20, size=2000)] + rng.normal(size=(2000, 3)) * 0.01).astype(np.float32)
    centres = kmeans(vectors, size=20, iterations=10, rng=np.random.default_rng(2))
    assert nearest(true.astype(np.float32), centres)[1].max() < 0.01


def test_kmeans_takes_fewer_different_vectors_than_centres() -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    centres = kmeans(vectors, size=8, iterations=3, rng=np.random.default_rng(0))
    assert np.isfinite(centres).all()
    assert nearest(vectors, centres)[1].max() == pytest.approx(0, abs=1e-6)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 999))
def test_every_book_lowers_the_error(seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(600, 4)).astype(np.float32)
    quantizer = fit_residual(vectors, books=3, size=32, iterations=4, rng=np.random.default_rng(seed))
    codes = quantizer.encode(vectors)
    errors = [np.square(vectors - ResidualQuantizer(quantizer.books[:n]).decode(codes[:n])).mean() for n in range(1, 4)]
    assert errors[0] < np.square(vectors).mean()
    assert errors == sorted(errors, reverse=True)
    assert np.array_equal(quantizer.books, quantizer.books.astype(np.float16))


def test_rows_of_a_single_book_are_coded_as_themselves() -> None:
    rng = np.random.default_rng(3)
    book = rng.normal(size=(1, 64, 6)).astype(np.float32)
    quantizer = ResidualQuantizer(book)
    codes = quantizer.encode(book[0])
    assert np.array_equal(codes[0], np.arange(64))
    assert np.array_equal(quantizer.decode(codes), book[0])
