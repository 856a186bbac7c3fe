from __future__ import annotations

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.faces.tracks import FaceTrack
from dubflow.judging.sync_crops import PADDING_GREY, SIDE, lrs_crops, pipeline_crops


def track(boxes: np.ndarray) -> FaceTrack:
    """Landmarks at the corners of boxes ``[F, 4]``; NaN where the box is."""
    corners = boxes[:, [0, 1, 2, 3]].reshape(-1, 2, 2)
    landmarks = np.zeros((len(boxes), 478, 3), np.float32)
    landmarks[..., :2] = corners[:, np.arange(478) % 2]
    found = np.isfinite(boxes).all(axis=1)
    landmarks[~found] = np.nan
    return FaceTrack(landmarks, found, tuple(None if one else "no_face" for one in found))


def ramp(frames: int, height: int = 200, width: int = 300) -> np.ndarray:
    """Pictures whose red says how far right and whose green how far down one is."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 250, width)[None]
    picture[..., 1] = np.linspace(0, 250, height)[:, None]
    return np.repeat(picture[None], frames, axis=0)


def test_the_square_hangs_below_the_face() -> None:
    """Half the side 40, centre (150, 90): columns 94 to 206 and rows 50 to 162 of the frame."""
    frames = ramp(9)
    crops = pipeline_crops(frames, track(np.tile([120.0, 50, 180, 130], (9, 1))))
    assert crops.shape == (9, SIDE, SIDE, 3)
    red, green = crops[4, :, :, 0].astype(float), crops[4, :, :, 1].astype(float)
    assert red[:, 0].mean() == pytest.approx(94 * 250 / 299, abs=2)
    assert red[:, -1].mean() == pytest.approx(205 * 250 / 299, abs=2)
    assert green[0].mean() == pytest.approx(50 * 250 / 199, abs=2)
    assert green[-1].mean() == pytest.approx(161 * 250 / 199, abs=2)
    assert (crops == crops[0]).all()


def test_outside_the_frame_it_is_grey() -> None:
    crops = pipeline_crops(ramp(3), track(np.tile([0.0, 150, 60, 199], (3, 1))))
    assert (crops[1, -5:] == PADDING_GREY).all()
    assert (crops[1, 30, :3] == PADDING_GREY).all()


def test_one_frame_that_jumps_is_passed_over_and_a_gap_bridged() -> None:
    boxes = np.tile([120.0, 50, 180, 130], (15, 1))
    steady = pipeline_crops(ramp(15), track(boxes))
    jumping = boxes.copy()
    jumping[6] += 60
    jumping[10] = np.nan
    assert np.array_equal(pipeline_crops(ramp(15), track(jumping)), steady)


def test_whole_frames() -> None:
    crops = lrs_crops(ramp(2))
    assert crops.shape == (2, SIDE, SIDE, 3)
    assert crops[0, 0, 0, 0] < 3
    assert crops[0, -1, -1, 1] > 247
    assert not np.array_equal(crops, pipeline_crops(ramp(2), track(np.tile([120.0, 50, 180, 130], (2, 1)))))


@pytest.mark.parametrize(
    ("boxes", "code"),
    [(np.tile([1.0, 1, 9, 9], (3, 1)), "judging.frames_differ"), (np.full((2, 4), np.nan), "judging.no_face")],
)
def test_what_cannot_be_cropped(boxes: np.ndarray, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        pipeline_crops(ramp(2), track(boxes))
    assert caught.value.code == code
