"""Measures of the lips from landmarks: MAR, LMD, QD."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.faces.indices import (
    INNER_LIPS,
    LOWER_LIP_INNER,
    MESH_TO_68,
    MOUTH_CORNERS,
    OUTER_EYE_CORNERS,
    UPPER_LIP_INNER,
)
from dubflow.faces.lip_distance import lip_distance, quality_diversity
from dubflow.faces.mouth_aspect import insightface_lips, mar_diversity, mouth_aspect, paper_mar

FRAMES = 12


def head(seed: int, frames: int = FRAMES) -> np.ndarray:
    """Landmarks of a made-up head: points at random places, the same in all frames, eyes and lips where they belong."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-50, 50, (478, 3))
    points[list(OUTER_EYE_CORNERS), :2] = [[-30, -20], [30, -20]]
    points[list(MOUTH_CORNERS), :2] = [[-15, 30], [15, 30]]
    return np.repeat(points[None].astype(np.float32), frames, axis=0) + 100


def opened(landmarks: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Lips that far apart, in pixels."""
    moved = landmarks.copy()
    for points, side in ((UPPER_LIP_INNER, -0.5), (LOWER_LIP_INNER, 0.5)):
        moved[:, list(points), 1] = 130 + side * gaps[:, None]
    return moved


def moved_head(landmarks: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    other = landmarks.copy()
    other[..., :2] = landmarks[..., :2] @ turn.T + shift
    return other


def test_geometric_is_height_over_width() -> None:
    gaps = np.linspace(0, 12, FRAMES)
    landmarks = opened(head(0), gaps)
    assert mouth_aspect(landmarks) == pytest.approx(gaps / 30, abs=1e-5)
    assert mar_diversity(mouth_aspect(landmarks)) == pytest.approx(gaps.std() / 30, abs=1e-5)


def test_insightface_numbers_its_corners_52_and_61() -> None:
    landmarks = head(1)
    lips = insightface_lips(landmarks)
    left, right = (landmarks[:, point, :2] for point in MOUTH_CORNERS)
    assert np.array_equal(lips[:, 52 - 52], left)
    assert np.array_equal(lips[:, 61 - 52], right)
    inner_middles = landmarks[:, [INNER_LIPS[5], INNER_LIPS[15]], :2]
    assert np.array_equal(lips[:, [62 - 52, 60 - 52]], inner_middles)
    assert len(np.unique(lips[0], axis=0)) == len({int(index) for index in MESH_TO_68[48:]}) == 20


def test_the_papers_points_run_across_the_mouth() -> None:
    """To the letter equation 5 hardly sees how open the mouth is: its four points are corners and their neighbours."""
    lips = np.zeros((1, 20, 2))
    for number, place in {52: (0, 0), 61: (10, 0), 55: (1, 2), 58: (9, 2)}.items():
        lips[0, number - 52] = place
    assert paper_mar(lips)[0] == pytest.approx(np.hypot(9, 2) / np.hypot(9, 2))
    lips[0, 58 - 52] = (4, 3)
    assert paper_mar(lips)[0] == pytest.approx(np.hypot(9, 2) / 5)
    gaps = np.linspace(0, 12, FRAMES)
    landmarks = opened(head(2), gaps)
    assert mouth_aspect(landmarks, "paper").std() == pytest.approx(0, abs=1e-6)
    assert mouth_aspect(landmarks, "geometric").std() > 0.1


@given(st.integers(0, 2**32 - 1), st.floats(-0.6, 0.6), st.floats(0.4, 3))
@settings(deadline=None, max_examples=25)
def test_neither_place_nor_size_nor_tilt_counts(seed: int, angle: float, scale: float) -> None:
    gaps = np.random.default_rng(seed).uniform(0, 10, FRAMES)
    landmarks = opened(head(seed % 5), gaps)
    other = moved_head(landmarks, angle, scale, (40, -10))
    for kind in ("paper", "geometric"):
        assert mouth_aspect(other, kind) == pytest.approx(mouth_aspect(landmarks, kind), abs=1e-3)
    assert lip_distance(landmarks, other) == pytest.approx(0, abs=1e-4)


def test_lmd_grows_with_the_lips_distance() -> None:
    shut = opened(head(3), np.zeros(FRAMES))
    distances = [lip_distance(shut, opened(head(3), np.full(FRAMES, gap))) for gap in (0.0, 2.0, 6.0, 12.0)]
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert distances == sorted(distances)
    # Six of the twenty points move by half the gap; in diagonals of the box.
    box = np.ptp(shut[0, :, :2], axis=0)
    assert distances[3] == pytest.approx(6 * 6.0 / 20 / np.hypot(*box), rel=0.01)
    assert lip_distance(opened(head(3), np.full(FRAMES, 6.0)), shut) == pytest.approx(distances[2], rel=1e-3)


def test_absent_frames_do_not_count() -> None:
    gaps = np.linspace(0, 12, FRAMES)
    landmarks = opened(head(4), gaps)
    missing = landmarks.copy()
    missing[[0, 5]] = np.nan
    kept = np.delete(gaps, [0, 5])
    assert np.isnan(mouth_aspect(missing)[[0, 5]]).all()
    assert np.isnan(mouth_aspect(missing, "paper")[[0, 5]]).all()
    assert mar_diversity(mouth_aspect(missing)) == pytest.approx(kept.std() / 30, abs=1e-5)
    assert lip_distance(landmarks, missing) == pytest.approx(0, abs=1e-6)
    nobody = np.full_like(landmarks, np.nan)
    assert lip_distance(landmarks, nobody) is mar_diversity(mouth_aspect(nobody)) is None


def test_quality_diversity() -> None:
    assert quality_diversity(0.2, 0.05) == pytest.approx(0.01)
    for pair in ((float("nan"), 1.0), (-0.1, 1.0)):
        with pytest.raises(BadInput) as caught:
            quality_diversity(*pair)
        assert caught.value.code == "faces.not_finite"


def test_what_cannot_be_judged() -> None:
    cases = (
        (lambda: mouth_aspect(np.zeros((3, 468, 3), np.float32)), "faces.bad_landmarks"),
        (lambda: paper_mar(np.zeros((3, 12, 2))), "faces.bad_landmarks"),
        (lambda: mar_diversity(np.zeros((3, 2))), "faces.bad_curve"),
        (lambda: lip_distance(head(0, 3), head(0, 4)), "faces.unequal_lengths"),
    )
    for call, code in cases:
        with pytest.raises(BadInput) as caught:
            call()
        assert caught.value.code == code
