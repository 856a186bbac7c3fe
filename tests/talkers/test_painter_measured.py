"""What the face mesh measures on drawn heads follows what was asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.mouth import mouth_opening, mouth_width
from dubflow.faces.tracks import FaceTracks
from dubflow.talkers.backgrounds import Scenery
from dubflow.talkers.look import Look
from dubflow.talkers.painter import HeadPainter
from dubflow.talkers.pose import Light, Pose

UPPER_LIDS, LOWER_LIDS = [159, 386], [145, 374]
IRISES, EYE_CORNERS = [468, 473], [33, 133, 362, 263]
BROWS, NOSE_TIP, OUTER = [105, 334], 4, [33, 263]


def smoothed(values: np.ndarray, window: int) -> np.ndarray:
    kernel = np.hanning(window + 2)[1:-1]
    padded = np.pad(values, window, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="same")[window:-window]


def speaking(frames: int, seed: int) -> list[Pose]:
    """Poses as in speech: openings of syllables, spread and rounded lips, head motion, blinks, glances."""
    rng = np.random.default_rng(seed)

    def steps(choices: list[float], length: int, window: int) -> np.ndarray:
        return smoothed(np.repeat(rng.choice(choices, frames // length + 1), length)[:frames], window)

    def drift(size: float, window: int) -> np.ndarray:
        noise = smoothed(rng.standard_normal(frames + 60), window)[30 : 30 + frames]
        return size * noise / noise.std()

    blink = np.zeros(frames)
    for start in range(8, frames - 4, 37):
        blink[start : start + 4] = (0.6, 1.0, 1.0, 0.5)
    curves = {
        "opening": steps([0.0, 0.03, 0.08, 0.15, 0.22, 0.3], 3, 5),
        "width": steps([-0.15, 0.0, 0.1, 0.2], 4, 7),
        "rounding": steps([0.0, 0.0, 0.0, 0.8], 5, 7),
        "blink": blink,
        "yaw": drift(0.15, 25),
        "pitch": drift(0.06, 21),
        "roll": drift(0.05, 15),
        "dx": drift(0.015, 15),
        "dy": drift(0.012, 15),
        "brow_raise": drift(0.4, 9),
        "gaze_x": drift(0.4, 5),
    }
    return [Pose.within_limits(**{name: float(curve[at]) for name, curve in curves.items()}) for at in range(frames)]


def tracked(seed: int, size: int, poses: list[Pose], light: Light | None = None) -> FaceTracks:
    head, room = HeadPainter(Look.from_seed(seed), size, light), Scenery(seed, size, light=light)
    return MediaPipeLandmarker().landmarks(head.paint(pose, room.frame(at)) for at, pose in enumerate(poses))


def check_speech(seed: int, size: int, frames: int, light: Light | None = None) -> None:
    poses = speaking(frames, seed)
    track = tracked(seed, size, poses, light).main
    found = track.found
    assert found.mean() >= 0.99
    asked = np.array([pose.opening for pose in poses])[found]
    measured = mouth_opening(track.landmarks)[found]
    assert np.corrcoef(asked, measured)[0, 1] >= 0.98
    assert 0.85 < np.polyfit(asked, measured, 1)[0] < 1.15
    asked_width = np.array([(1.0 + pose.width) * (1.0 - 0.34 * pose.rounding) for pose in poses])[found]
    assert np.corrcoef(asked_width, mouth_width(track.landmarks)[found])[0, 1] >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "size"), [(0, 256), (6, 128)])
def test_speech_is_found_and_its_opening_measured(seed, size):
    check_speech(seed, size, 60)


@pytest.mark.slow
@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("seed", range(1, 25, 2))
def test_speech_of_many_people_is_found_and_its_opening_measured(seed, size):
    check_speech(seed, size, 100)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 4, 7])
def test_speech_in_low_light_is_found_and_its_opening_measured(seed):
    check_speech(seed, 256, 100, Light.low())


def test_measures_move_one_way_with_what_was_asked():
    """Each movement is swept through the frames of one clip; its measure rises all along."""
    openings = [Pose(opening=value) for value in (0.0, 0.06, 0.12, 0.18, 0.24, 0.32, 0.4, 0.5)]
    widths = [Pose(width=value, opening=0.03) for value in (-0.25, -0.1, 0.05, 0.2)]
    blinks = [Pose(blink=value) for value in (1.0, 0.5, 0.0)]
    gazes = [Pose(gaze_x=value) for value in (-1.0, 0.0, 1.0)]
    brows = [Pose(brow_raise=value) for value in (-1.0, 0.0, 1.0)]
    yaws = [Pose(yaw=value) for value in (-0.5, -0.25, 0.0, 0.25, 0.5)]
    pitches = [Pose(pitch=value) for value in (-0.25, 0.0, 0.25)]
    rolls = [Pose(roll=value) for value in (-0.3, -0.15, 0.0, 0.15, 0.3)]
    groups = [openings, widths, blinks, gazes, brows, yaws, pitches, rolls]
    track = tracked(4, 256, [pose for group in groups for pose in group]).main
    assert track.found.all()
    points = track.landmarks[..., :2]
    eyes = np.linalg.norm(points[:, 263] - points[:, 33], axis=1)
    middle = points[:, OUTER].mean(axis=1)
    measures = [
        mouth_opening(track.landmarks),
        mouth_width(track.landmarks),
        (points[:, LOWER_LIDS, 1] - points[:, UPPER_LIDS, 1]).mean(axis=1) / eyes,
        (points[:, IRISES, 0].mean(axis=1) - points[:, EYE_CORNERS, 0].mean(axis=1)) / eyes,
        (middle[:, 1] - points[:, BROWS, 1].mean(axis=1)) / eyes,
        (points[:, NOSE_TIP, 0] - middle[:, 0]) / eyes,
        (middle[:, 1] - points[:, NOSE_TIP, 1]) / eyes,
        np.arctan2(points[:, 263, 1] - points[:, 33, 1], points[:, 263, 0] - points[:, 33, 0]),
    ]
    start = 0
    for group, measure in zip(groups, measures, strict=True):
        values = measure[start : start + len(group)]
        assert all(after > before for before, after in pairwise(values)), (group[0], values)
        start += len(group)
    assert measures[0][0] < 0.02
    blink = measures[2][len(openings) + len(widths) :]
    assert blink[0] < 0.4 * blink[2]
    assert np.allclose(measures[7][-5:], [-0.3, -0.15, 0.0, 0.15, 0.3], atol=0.05)
