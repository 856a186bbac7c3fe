"""Spectrograms and plots: what is drawn is what was measured."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from dubflow.errors import WrongUse
from dubflow.judging.page.picture import png, spectrogram
from dubflow.judging.page.plots import Dot, envelope, gain, intervals, mouth_and_sound
from dubflow.speech.mel import mel_centres

RATE = 16000


def decoded(picture: bytes) -> np.ndarray:
    """RGB as another program reads the PNG."""
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def test_another_reader_sees_every_pixel_of_a_png() -> None:
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (7, 3)).astype(np.uint8)
    indices = rng.integers(0, 7, (5, 11)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(png(indices, palette.tobytes())), palette[indices])


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (4,)])
def test_no_picture_of_nothing(shape: tuple[int, ...]) -> None:
    with pytest.raises(WrongUse, match=r"judging\.empty_picture"):
        png(np.zeros(shape, np.uint8), bytes(3))


def test_no_colour_beyond_the_palette() -> None:
    with pytest.raises(WrongUse, match=r"judging\.empty_picture"):
        png(np.full((2, 2), 2, np.uint8), bytes(6))


@pytest.mark.parametrize("hz", [300.0, 1000.0, 4000.0])
def test_a_tone_is_brightest_where_its_mel_band_lies(hz: float) -> None:
    tone = (0.1 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)).astype(np.float32)
    image = decoded(spectrogram(tone)).astype(int).sum(axis=2)
    assert image.shape == (80, 80)  # 80 bands; a column each 12.5 ms
    brightest = 79 - int(np.argmax(image[:, 40]))
    assert abs(brightest - int(np.argmin(abs(mel_centres() - hz)))) <= 1


def test_louder_is_lighter_and_silence_darkest() -> None:
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    light = [decoded(spectrogram(level * noise)).mean() for level in (0.0, 0.001, 0.01, 0.1)]
    assert light == sorted(light)
    assert len(np.unique(decoded(spectrogram(0.0 * noise)).reshape(-1, 3), axis=0)) == 1


def test_the_envelope_is_the_loudness_of_its_moment() -> None:
    steps = np.repeat([0.1, 0.4, 0.2], 320).astype(np.float32)
    np.testing.assert_allclose(envelope(steps, RATE), [0.25, 1.0, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(envelope(np.zeros(640, np.float32), RATE), [0.0, 0.0])
    assert not len(envelope(np.zeros(0, np.float32), RATE))


def marks(source: str) -> tuple[float, float]:
    """Where circle and diamond stand."""
    circle, diamond = re.search(r'cx="([\d.]+)"', source), re.search(r'd="M([\d.]+) ', source)
    assert circle
    assert diamond
    return float(circle[1]), float(diamond[1])


def test_dots_stand_in_the_order_of_their_figures_and_inside_their_bars() -> None:
    made = intervals([Dot("challenger", 0.3, 0.1, 0.5), Dot("champion", 0.7, 0.6, 0.8)], "two")
    assert made is not None
    circle, diamond = marks(made.source)
    ends = sorted({float(x) for x in re.findall(r'x1="([\d.]+)"', made.source)})
    assert ends[0] < circle < ends[1] < ends[2] < diamond < ends[3]
    # Equal steps of the figure are equal steps of the drawing.
    assert (diamond - circle) / (ends[3] - ends[0]) == pytest.approx(0.4 / 0.7, abs=0.01)
    assert "<title>two</title>" in made.source


def test_systems_differ_in_shape_not_in_colour_alone() -> None:
    made = intervals([Dot("challenger", 1.0), Dot("champion", 1.0)], "same")
    assert made is not None
    assert made.source.count("<circle") == 1
    assert made.source.count("<path") == 1


def test_two_drawings_on_one_axis_put_one_figure_in_one_place() -> None:
    first, second = (
        intervals([Dot("challenger", 0.5), Dot("champion", other)], "a", axis=(0.0, 1.0)) for other in (0.2, 0.9)
    )
    assert first is not None
    assert second is not None
    assert marks(first.source)[0] == marks(second.source)[0]


def test_nothing_to_draw_is_no_drawing() -> None:
    assert intervals([], "none") is None
    assert mouth_and_sound(np.zeros(0), None, 0.0, "none") is None


@pytest.mark.parametrize(("low", "limit", "left"), [(0.1, 0.0, True), (-0.2, -0.1, False)])
def test_a_gain_passes_where_its_bar_lies_right_of_the_limit(low: float, limit: float, left: bool) -> None:
    source = gain(0.2, low, 0.4, limit, "gain").source
    line = re.search(r'x1="([\d.]+)"[^>]*class="limit"', source)
    bar = re.search(r'class="bar"><line x1="([\d.]+)"', source)
    assert line
    assert bar
    assert (float(line[1]) < float(bar[1])) is left


def test_an_unbounded_gain_runs_to_the_edge() -> None:
    bar = re.search(r'class="bar"><line x1="([\d.]+)" x2="([\d.]+)"', gain(0.2, None, None, 0.0, "gain").source)
    assert bar
    assert (float(bar[1]), float(bar[2])) == (8.0, 212.0)


def test_the_mouths_line_is_broken_where_there_is_no_face() -> None:
    mouth = np.array([0.1, 0.2, np.nan, np.nan, 0.3, 0.1])
    made = mouth_and_sound(np.ones(10), mouth, 0.24, "curve")
    assert made is not None
    path = re.search(r'd="([^"]*)" class="mouth"', made.source)
    assert path
    assert path[1].count("M") == 2
    assert "nan" not in made.source


def test_a_wider_mouth_is_drawn_higher() -> None:
    made = mouth_and_sound(np.ones(4), np.array([0.0, 0.1, 0.3]), 0.12, "curve")
    assert made is not None
    path = re.search(r'd="([^"]*)" class="mouth"', made.source)
    assert path
    heights = [float(point.split()[1]) for point in re.split("[ML]", path[1]) if point]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > heights[2]
