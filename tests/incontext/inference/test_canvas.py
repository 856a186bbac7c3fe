"""Canvases: multiples of 32 of the settings' area, no stretching, bars off again, little lost on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.incontext.inference.canvas import Canvas


@settings(deadline=None)
@given(
    height=st.integers(16, 2200), width=st.integers(16, 2200),
    most=st.sampled_from([(544, 960), (352, 640), (96, 96), (64, 64)]),
)  # fmt: skip
def test_it_fits_the_area_and_keeps_the_shape(height: int, width: int, most: tuple[int, int]) -> None:
    canvas = Canvas.of(height, width, *most)
    assert canvas.height % 32 == canvas.width % 32 == 0
    assert canvas.height * canvas.width <= most[0] * most[1]
    assert min(canvas.height, canvas.width) >= 64
    # The picture touches two sides, and is stretched by less than a pixel.
    assert canvas.inner_height == canvas.height or canvas.inner_width == canvas.width
    scale = min(canvas.height / height, canvas.width / width)
    assert abs(canvas.inner_height - height * scale) <= 1
    assert abs(canvas.inner_width - width * scale) <= 1


@pytest.mark.parametrize(
    ("source", "canvas"),
    [((544, 960), (544, 960)), ((1080, 1920), (544, 960)), ((1920, 1080), (960, 544)), ((720, 720), (704, 704))],
)
def test_usual_pictures_get_the_canvas_that_shows_most_of_them(
    source: tuple[int, int], canvas: tuple[int, int]
) -> None:
    made = Canvas.of(*source, 544, 960)
    assert (made.height, made.width) == canvas


def test_a_picture_goes_there_and_back() -> None:
    y, x = np.mgrid[:90, :160]
    picture = np.stack([y * 2, x, 255 - x], axis=-1).astype(np.uint8)
    frames = np.stack([picture, picture[::-1]] * 10)
    canvas = Canvas.of(90, 160, 96, 192)
    placed = canvas.put(frames)
    assert placed.shape == (20, canvas.height, canvas.width, 3)
    bars = np.ones(placed.shape[1:3], bool)
    bars[canvas.top : canvas.top + canvas.inner_height, canvas.left : canvas.left + canvas.inner_width] = False
    assert bars.any()
    assert not placed[:, bars].any()
    back = canvas.back(placed)
    assert back.shape == frames.shape
    assert np.abs(back.astype(int) - frames).mean() < 1.0


def test_the_same_size_is_the_same_picture_and_doubling_doubles() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    canvas = Canvas.of(64, 96, 64, 96)
    assert np.array_equal(canvas.back(canvas.put(frames)), frames)
    larger = canvas.doubled()
    assert (larger.height, larger.width, larger.inner_width) == (128, 192, 192)
    assert larger.back(larger.put(frames)).shape == frames.shape
