from __future__ import annotations

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.bootstrap import bootstrap, known, ratio
from dubflow.judging.lengths import length_error_frames, length_error_samples


def test_the_interval_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    found = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(half, rel=0.12)
    assert found.value - found.low == pytest.approx(half, rel=0.12)
    assert found.clips == 400


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        found = bootstrap(rng.normal(0, 1, 60), rounds=300)
        inside += found.low <= 0 <= found.high
    assert 0.88 <= inside / 200 <= 0.99


def test_rates_are_resampled_by_clip() -> None:
    rows = np.array([[0, 6], [6, 6], [3, 12]])
    found = bootstrap(rows, ratio)
    assert found.value == pytest.approx(9 / 24)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert ratio(np.zeros((1, 2))) == 0


def test_equal_clips_have_no_spread_and_seeds_repeat() -> None:
    same = bootstrap([0.5] * 10)
    assert (same.low, same.high) == (0.5, 0.5)
    values = np.arange(20.0)
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3) != bootstrap(values, seed=4)
    assert bootstrap(values, level=0.5).high < bootstrap(values, level=0.99).high


def test_what_cannot_be_judged_is_refused() -> None:
    for rows, code in (([], "judging.nothing_to_judge"), ([1.0, float("nan")], "judging.not_finite")):
        with pytest.raises(BadInput) as caught:
            bootstrap(rows)
        assert caught.value.code == code
    assert known([1.0, None, 0.0]) == [1.0, 0.0]


def test_lengths() -> None:
    assert length_error_samples(48_000, 75) == 0
    assert length_error_samples(47_999, 75) == -1
    assert length_error_frames(48_640, 75) == 1
    with pytest.raises(BadInput):
        length_error_samples(-1, 75)
