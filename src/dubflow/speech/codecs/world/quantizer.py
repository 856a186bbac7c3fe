"""Residual vector quantisation: each book codes what the books before it left (Juang and Gray, 1982)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_BLOCK = 8192
_SEEDING_SAMPLE = 16_384


@dataclass(frozen=True, eq=False)
class ResidualQuantizer:
    """``books`` float32 ``[B, K, D]``: a vector is the sum of one row of each."""

    books: Vectors

    def encode(self, vectors: Vectors) -> NDArray[np.int64]:
        """Codes ``[B, n]`` of vectors ``[n, D]``, book by book the nearest row."""
        rest = np.array(vectors, dtype=np.float32)
        codes = np.empty((len(self.books), len(rest)), dtype=np.int64)
        for book, row in zip(self.books, codes, strict=True):
            row[:] = nearest(rest, book)[0]
            rest -= book[row]
        return codes

    def decode(self, codes: NDArray[np.int64]) -> Vectors:
        """Vectors ``[n, D]`` of codes ``[B, n]``."""
        total = np.zeros((codes.shape[1], self.books.shape[2]), dtype=np.float32)
        for book, row in zip(self.books, codes, strict=True):
            total += book[row]
        return total


def fit_residual(
    vectors: Vectors,
    *,
    books: int,
    size: int,
    iterations: int,
    rng: np.random.Generator,
    on_step: Callable[[], None] = lambda: None,
) -> ResidualQuantizer:
    """Books of ``size`` rows fitted one after the other to vectors ``[n, D]``, n >= ``size``.

    ``on_step`` is called after each of the ``books * iterations`` passes over the vectors. Rows are rounded to float16,
    so that they can be stored in half the space and come back the same.
    """
    rest = np.array(vectors, dtype=np.float32)
    fitted = []
    for _ in range(books):
        book = kmeans(rest, size=size, iterations=iterations, rng=rng, on_step=on_step)
        book = book.astype(np.float16).astype(np.float32)
        rest -= book[nearest(rest, book)[0]]
        fitted.append(book)
    return ResidualQuantizer(np.stack(fitted))


def kmeans(
    vectors: Vectors,
    *,
    size: int,
    iterations: int,
    rng: np.random.Generator,
    on_step: Callable[[], None] = lambda: None,
) -> Vectors:
    """Centres ``[size, D]`` by Lloyd's iterations from a k-means++ start (Arthur and Vassilvitskii, 2007).

    A centre that lost all its vectors moves to the vector that is served worst.
    """
    centres = _spread_start(vectors, size, rng)
    for _ in range(iterations):
        owner, distance = nearest(vectors, centres)
        counts = np.bincount(owner, minlength=size)
        order = np.argsort(owner, kind="stable")
        used = np.flatnonzero(counts)
        starts = (np.cumsum(counts) - counts)[used]
        centres[used] = np.add.reduceat(vectors[order], starts, axis=0) / counts[used, None]
        empty = np.flatnonzero(counts == 0)
        if empty.size:
            centres[empty] = vectors[np.argsort(-distance, kind="stable")[: empty.size]]
        on_step()
    return centres


def nearest(vectors: Vectors, centres: Vectors) -> tuple[NDArray[np.int64], Vectors]:
    """Index of the nearest centre ``[n]`` and the squared distance to it ``[n]``; ties go to the lower index."""
    owner = np.empty(len(vectors), dtype=np.int64)
    distance = np.empty(len(vectors), dtype=np.float32)
    half_norm = 0.5 * np.square(centres).sum(1)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        score = block @ centres.T
        score -= half_norm
        best = score.argmax(1)
        owner[start : start + _BLOCK] = best
        distance[start : start + _BLOCK] = np.square(block).sum(1) - 2 * score[np.arange(len(block)), best]
    return owner, np.maximum(distance, 0)


def _spread_start(vectors: Vectors, size: int, rng: np.random.Generator) -> Vectors:
    """Each next centre is drawn with the squared distance to those before it as weight."""
    sample = vectors[rng.choice(len(vectors), min(len(vectors), _SEEDING_SAMPLE), replace=False)]
    norms = np.square(sample).sum(1)
    centres = np.empty((size, vectors.shape[1]), dtype=np.float32)
    distance = np.full(len(sample), np.inf, dtype=np.float32)
    chosen = int(rng.integers(len(sample)))
    for index in range(size):
        centres[index] = sample[chosen]
        distance = np.minimum(distance, np.maximum(norms - 2 * sample @ centres[index] + norms[chosen], 0))
        cumulated = np.cumsum(distance, dtype=np.float64)
        draw = rng.random() * cumulated[-1]  # all zeros when there are fewer different vectors than centres
        chosen = min(int(np.searchsorted(cumulated, draw, side="right")), len(sample) - 1)
    return centres
