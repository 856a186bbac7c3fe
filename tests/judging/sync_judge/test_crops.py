"""What the small judge of synchrony sees and hears."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.sync_judge.crops import CUT, HEIGHT, MEL_FRAMES, WIDTH, heard, middle, seen
from dubflow.speech.mel import MEL_BINS, log_mel


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, 48_000).astype(np.float32)


def test_a_window_is_the_spectrogram_from_its_frame_on(sound: np.ndarray) -> None:
    windows, columns = heard(sound, 75), log_mel(sound)
    assert windows.shape == (71, MEL_BINS, MEL_FRAMES)
    assert (windows.max(), windows.min() >= -1) == (0, True)
    for frame in (5, 20, 60):  # 3.2 columns a frame: these begin with one
        wanted = columns[:, frame * 16 // 5 :][:, :MEL_FRAMES]
        difference = windows[frame] * 60 - wanted
        assert np.ptp(difference[wanted > columns.max() - 55]) < 1e-3


@given(late=st.integers(0, 30))
@settings(deadline=None, max_examples=15)
def test_a_sound_that_is_late_is_heard_late(late: int) -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, 640 * 40)
    first = heard(noise, 80)
    moved = heard(np.pad(noise, (late * 640, 0)), 80)
    # The window's own edges reach 25 ms over both ends.
    assert np.allclose(moved[late + 1 : late + 34], first[1:34], atol=1e-5)


def test_loudness_and_light_do_not_count(sound: np.ndarray) -> None:
    assert np.allclose(heard(sound * 0.05, 75), heard(sound, 75), atol=1e-4)
    mouths = np.random.default_rng(3).integers(60, 120, (9, CUT, CUT)).astype(np.uint8)
    brighter = (mouths * 2).astype(np.uint8)
    assert seen(mouths).shape == (9, HEIGHT, WIDTH)
    assert np.allclose(seen(brighter), seen(mouths), atol=0.06)


def test_the_middle() -> None:
    where = np.zeros((CUT, CUT))
    where[CUT // 2, CUT // 2] = 1
    assert middle(where)[HEIGHT // 2, WIDTH // 2] == 1


def test_short_ones(sound: np.ndarray) -> None:
    assert heard(sound, 4).shape[0] == 0
    assert heard(sound, 5).shape[0] == 1
    assert (heard(np.zeros(0, np.float32), 10) == -1).all()


@pytest.mark.parametrize(
    "crops", [np.zeros((3, 8, 8), np.uint8), np.zeros((3, CUT, CUT)), np.zeros((0, CUT, CUT), np.uint8)]
)
def test_no_mouths(crops: np.ndarray) -> None:
    with pytest.raises(BadInput) as caught:
        seen(crops)
    assert caught.value.code == "judging.bad_crops"
