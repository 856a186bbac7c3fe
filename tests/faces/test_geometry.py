"""Maps between frames and crops, and boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.faces.geometry import apply, inverse, overlap, scale_of, search_squares, similarity, square_map, warp

angles = st.floats(-3.1, 3.1)
scales = st.floats(0.2, 5.0)


@settings(deadline=None, max_examples=50)
@given(angle=angles, scale=scales, x=st.floats(-50, 50), y=st.floats(-50, 50))
def test_a_similarity_is_recovered_and_undone(angle: float, scale: float, x: float, y: float) -> None:
    source = np.random.default_rng(3).normal(size=(6, 2)) * 10
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = source @ turn.T + [x, y]
    affine = similarity(source, target)
    np.testing.assert_allclose(apply(affine, source), target, atol=1e-8)
    np.testing.assert_allclose(apply(inverse(affine), target), source, atol=1e-8)
    assert scale_of(affine) == pytest.approx(scale)


def test_of_all_similarities_it_finds_the_closest_one() -> None:
    generator = np.random.default_rng(5)
    source, target = generator.normal(size=(8, 2)), generator.normal(size=(8, 2))
    best = similarity(source, target)
    error = np.sum((apply(best, source) - target) ** 2)
    for _ in range(200):
        nudged = best.copy()
        change = generator.normal(size=4) * 0.05
        nudged[:, :2] += [[change[0], -change[1]], [change[1], change[0]]]
        nudged[:, 2] += change[2:]
        assert np.sum((apply(nudged, source) - target) ** 2) >= error


def test_depth_is_scaled_like_the_rest() -> None:
    affine = square_map(np.array([10.0, 20.0]), 50.0, 200, 0.7)
    moved = apply(affine, np.array([[10.0, 20.0, 3.0]]))
    np.testing.assert_allclose(moved, [[100.0, 100.0, 12.0]])


def test_a_square_as_large_as_its_crop_is_copied_pixel_by_pixel() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    affine = square_map(np.array([35.0, 25.0]), 20.0, 20)
    np.testing.assert_array_equal(warp(frame, affine, 20), frame[15:35, 25:45])


@pytest.mark.parametrize("factor", [0.25, 0.5, 2, 4])
def test_crops_are_not_shifted_by_their_scale(factor: float) -> None:
    """The centre of mass of a soft blob lands where the map says, however coarse the crop."""
    y, x = np.mgrid[0:120, 0:120] + 0.5
    blob = 255 * np.exp(-((x - 52.3) ** 2 + (y - 66.7) ** 2) / (2 * 8.0**2))
    size = int(100 * factor)
    affine = square_map(np.array([60.0, 60.0]), 100.0, size)
    crop = warp(blob.astype(np.uint8), affine, size).astype(float)
    v, u = np.mgrid[0:size, 0:size] + 0.5
    centre = np.array([(crop * u).sum(), (crop * v).sum()]) / crop.sum()
    np.testing.assert_allclose(centre, apply(affine, np.array([52.3, 66.7])), atol=0.06)


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (256, 128))
    small = warp(stripes, square_map(np.array([128.0, 128.0]), 256.0, 64), 64)
    assert np.abs(small.astype(int) - 127).max() <= 1


def test_the_edge_goes_on_outside_the_frame() -> None:
    frame = np.full((10, 10, 3), 77, np.uint8)
    assert np.unique(warp(frame, square_map(np.array([0.0, 0.0]), 40.0, 16), 16)).tolist() == [77]


def test_overlap_of_boxes() -> None:
    box = np.array([0.0, 0.0, 2.0, 2.0])
    assert overlap(box, box) == 1.0
    assert overlap(box, box + 5) == 0.0
    assert overlap(box, box + np.array([1, 0, 1, 0])) == pytest.approx(1 / 3)
    assert overlap(box * 0, box * 0) == 0.0


@settings(deadline=None, max_examples=40)
@given(height=st.integers(8, 1200), width=st.integers(8, 2000), seed=st.integers(0, 99))
def test_squares_of_the_short_side_cover_the_frame(height: int, width: int, seed: int) -> None:
    squares = list(search_squares(height, width))
    assert squares[0][1] == max(height, width)
    small = [(centre, side) for centre, side in squares if side <= min(height, width)]
    if small:
        point = np.random.default_rng(seed).uniform(0, 1, 2) * [width, height]
        assert any(np.abs(centre - point).max() <= side / 2 + 1e-6 for centre, side in small)
