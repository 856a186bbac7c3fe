"""Smoothing keeps what moves evenly, and neither lags nor spreads gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import WrongUse
from dubflow.faces.smoothing import fill_gaps, smooth

windows = st.integers(1, 15)


def with_gaps(values: np.ndarray, seed: int) -> np.ndarray:
    values = values.copy()
    values[np.random.default_rng(seed).random(len(values)) < 0.3] = np.nan
    return values


@settings(deadline=None, max_examples=40)
@given(frames=st.integers(1, 40), window=windows, seed=st.integers(0, 99))
def test_even_motion_stays_exactly_where_it_is_also_beside_gaps(frames: int, window: int, seed: int) -> None:
    ramp = with_gaps(np.stack([np.arange(frames), 5 - 2.0 * np.arange(frames)], axis=1), seed)
    np.testing.assert_allclose(smooth(ramp, window), ramp, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(window=windows, seed=st.integers(0, 99))
def test_smoothing_runs_the_same_forwards_and_backwards(window: int, seed: int) -> None:
    values = with_gaps(np.random.default_rng(seed).normal(size=(30, 2)), seed)
    np.testing.assert_allclose(smooth(values[::-1], window)[::-1], smooth(values, window), atol=1e-12)


def test_an_impulse_is_spread_over_the_window_and_keeps_its_place() -> None:
    impulse = np.zeros(41)
    impulse[20] = 1.0
    spread = smooth(impulse, 12)
    np.testing.assert_allclose(spread[15:26], 1 / 12)
    np.testing.assert_allclose(spread[[14, 26]], 1 / 24)
    assert spread[13] == spread[27] == 0
    assert spread.sum() == pytest.approx(1.0)
    assert (np.arange(41) * spread).sum() == pytest.approx(20.0)


def test_noise_falls_with_the_window() -> None:
    noise = np.random.default_rng(1).normal(size=4000)
    assert smooth(noise, 12)[50:-50].std() == pytest.approx(np.sqrt((11 + 0.5) / 144), rel=0.1)
    np.testing.assert_array_equal(smooth(noise, 1), noise)


def test_absent_frames_stay_absent_and_do_not_infect_others() -> None:
    values = np.ones((20, 3), np.float32)
    values[7, 1] = np.nan
    smoothed = smooth(values, 12)
    assert smoothed.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(smoothed), np.isnan(values))
    np.testing.assert_allclose(smoothed[np.arange(20) != 7], 1.0)


def test_a_window_below_one_is_refused() -> None:
    with pytest.raises(WrongUse, match="bad_window"):
        smooth(np.ones(3), 0)


@settings(deadline=None, max_examples=40)
@given(frames=st.integers(2, 40), seed=st.integers(0, 99))
def test_gaps_are_filled_on_a_straight_line_and_held_at_the_ends(frames: int, seed: int) -> None:
    ramp = np.stack([np.arange(frames), 7 - 3.0 * np.arange(frames)], axis=1)
    holes = with_gaps(ramp, seed)
    known = np.flatnonzero(np.isfinite(holes[:, 0]))
    filled = fill_gaps(holes)
    if len(known) == 0:
        assert np.isnan(filled).all()
        return
    held = np.clip(np.arange(frames), known[0], known[-1])
    np.testing.assert_allclose(filled, ramp[held], atol=1e-9)


def test_nothing_to_smooth_is_no_error() -> None:
    assert smooth(np.empty((0, 4)), 12).shape == (0, 4)
    assert fill_gaps(np.empty((0, 4))).shape == (0, 4)
