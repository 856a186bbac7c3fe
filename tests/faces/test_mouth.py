"""Mouth measures are what their names say, whatever the face's place, size and tilt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubflow.faces.geometry import apply, square_map
from dubflow.faces.mouth import eye_distance, mouth_area, mouth_opening, mouth_width
from dubflow.faces.pose import head_pose

MakeFace = Callable[..., np.ndarray]
with_fixture = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@with_fixture
@given(
    opening=st.floats(0, 0.5),
    width=st.floats(0.2, 0.8),
    angle=st.floats(-1.5, 1.5),
    side=st.floats(0.5, 4.0),
    x=st.floats(-2, 2),
)
def test_measures_do_not_see_place_size_or_tilt(
    made_up_face: MakeFace, opening: float, width: float, angle: float, side: float, x: float
) -> None:
    affine = square_map(np.array([x, 0.3]), side, 200, angle)
    face = apply(affine, made_up_face(opening, width))[None].astype(np.float32)
    assert mouth_opening(face)[0] == pytest.approx(opening, abs=2e-4)
    assert mouth_width(face)[0] == pytest.approx(width, abs=2e-4)
    assert eye_distance(face)[0] == pytest.approx(200 / side, rel=1e-4)
    assert head_pose(face)[0, 2] == pytest.approx(-angle, abs=1e-3)


def test_lips_that_cross_by_noise_are_closed(made_up_face: MakeFace) -> None:
    face = made_up_face(-0.05)[None].astype(np.float32)
    assert mouth_opening(face)[0] == 0
    assert mouth_area(face)[0] == 0


def test_the_area_grows_with_opening_and_width(made_up_face: MakeFace) -> None:
    areas = [
        [float(mouth_area(made_up_face(opening, width)[None].astype(np.float32))[0]) for width in (0.3, 0.5, 0.7)]
        for opening in (0.05, 0.2, 0.4)
    ]
    assert (np.diff(areas, axis=0) > 0).all()
    assert (np.diff(areas, axis=1) > 0).all()


def test_absent_faces_have_no_measures_and_a_closure_is_not_smoothed_away(made_up_face: MakeFace) -> None:
    openings = [0.2, 0.2, 0.0, 0.2, 0.2, 0.2]
    faces = np.stack([made_up_face(opening) for opening in openings]).astype(np.float32)
    faces[4] = np.nan
    measured = mouth_opening(faces)
    np.testing.assert_allclose(measured[[0, 1, 2, 3, 5]], np.delete(openings, 4), atol=1e-5)
    assert np.isnan(measured[4])
    assert np.isnan(mouth_width(faces)[4])
    assert np.isnan(mouth_area(faces)[4])
    assert mouth_opening(faces, window=2)[2] == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize(("axis", "index"), [(1, 0), (0, 1)])
def test_turning_a_head_shows_in_its_pose(made_up_face: MakeFace, axis: int, index: int) -> None:
    """Turned by 20 degrees about the vertical (yaw) or the horizontal axis (pitch), it reads 20 degrees more."""
    angle = np.deg2rad(20)
    face = made_up_face()
    turned = face.copy()
    # Yaw to the right takes the right eye away from the camera; lifting the nose brings the chin nearer.
    other = 1 - axis
    turned[:, other] = face[:, other] * np.cos(angle) - face[:, 2] * np.sin(angle) * (1 if other == 0 else -1)
    turned[:, 2] = face[:, other] * np.sin(angle) * (1 if other == 0 else -1) + face[:, 2] * np.cos(angle)
    poses = head_pose(np.stack([face, turned]).astype(np.float32))
    change = np.rad2deg(poses[1] - poses[0])
    assert change[index] == pytest.approx(20, abs=1.5)
    assert np.abs(np.delete(change, index)).max() < 1.5
