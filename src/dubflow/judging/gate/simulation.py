"""Pairs of systems whose true difference is known, by which the gate's errors are counted.

Both shapes are unkind on purpose: word errors are skewed and lumpy rates of sums, similarities have heavy tails. As in
real benchmarks a clip that is hard for one system is hard for the other.
"""

from __future__ import annotations

import numpy as np

from dubflow.judging.card.resampling import Floats


def word_errors(rng: np.random.Generator, gain: float, clips: int) -> Floats:
    """Errors and words of two systems ``[clips, 4]``; the first errs less often by ``gain`` a word (at most 0.05, or
    rates would go below 0)."""
    words = rng.integers(3, 15, clips)
    rate = 0.05 + 0.8 * rng.beta(1, 4, clips)
    first = rng.binomial(words, np.clip(rate - gain, 0, 1))
    return np.stack([first, words, rng.binomial(words, rate), words], axis=1, dtype=np.float64)


def similarities(rng: np.random.Generator, gain: float, clips: int) -> Floats:
    """Scores (over 1) of two systems ``[clips, 4]``; the first is better by ``gain``; noise of Student's t with 4
    degrees of freedom."""
    shared, ones = rng.normal(0.6, 0.1, clips), np.ones(clips)
    noise = 0.05 * rng.standard_t(4, (2, clips))
    return np.stack([shared + gain + noise[0], ones, shared + noise[1], ones], axis=1)
