"""Faces drawn from landmarks, and masks on the grid of latents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.faces.tracks import POINTS, FaceTrack
from dubflow.incontext.training.face_masks import face_mask, latent_mask


def track(*places: tuple[float, float] | None) -> FaceTrack:
    """A face of a circle of radius 8 around each place."""
    angle = np.linspace(0, 2 * np.pi, POINTS)
    circle = np.stack([8 * np.cos(angle), 8 * np.sin(angle), 0 * angle], axis=1)
    rows = [circle + np.array([*place, 0]) if place else np.full((POINTS, 3), np.nan) for place in places]
    found = np.array([place is not None for place in places])
    return FaceTrack(np.stack(rows).astype(np.float32), found, tuple(None if one else "no_face" for one in found))


def test_the_hull_is_filled_and_frames_without_a_face_take_the_nearest() -> None:
    mask = face_mask(track((16, 16), None, None, (40, 20)), 48, 64)
    area = np.pi * 8**2
    assert mask.shape == (4, 48, 64)
    assert all(abs(frame.sum() - area) < 0.2 * area for frame in mask)
    assert mask[0, 16, 16]
    assert not mask[0, 16, 30]
    assert np.array_equal(mask[1], mask[0])
    assert np.array_equal(mask[2], mask[3])
    assert mask[3, 20, 40]


def test_a_face_that_leaves_the_picture_is_cut() -> None:
    mask = face_mask(track((0, 0)), 32, 32)
    assert mask[0, 0, 0]
    assert 0 < mask.sum() < np.pi * 8**2 / 2


def test_no_face_at_all_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        face_mask(track(None, None), 8, 8)
    assert refused.value.code == "incontext.no_face"


def test_the_first_frame_is_kept_and_eight_become_their_greatest() -> None:
    mask = np.zeros((17, 64, 64))
    mask[0, :32, :32] = 1
    mask[8, 32:, :32] = 0.11
    mask[9, :32, 32:] = 0.09
    mask[16, 32:, 32:] = 1
    assert latent_mask(mask, 2, 2).tolist() == [
        [[True, False], [False, False]],
        [[False, False], [True, False]],
        [[False, False], [False, True]],
    ]


@settings(deadline=None, max_examples=30)
@given(groups=st.integers(0, 3), rows=st.integers(1, 4), columns=st.integers(1, 4), seed=st.integers(0, 99))
def test_it_is_nearest_in_space_and_greatest_in_time(groups: int, rows: int, columns: int, seed: int) -> None:
    frames = 8 * groups + 1
    mask = np.random.default_rng(seed).random((frames, 5 * rows, 7 * columns)) > 0.7
    found = latent_mask(mask, rows, columns)
    small = mask[:, ::5, ::7]
    assert found.shape == (groups + 1, rows, columns)
    assert np.array_equal(found[0], small[0])
    for group in range(groups):
        assert np.array_equal(found[group + 1], small[8 * group + 1 : 8 * group + 9].any(axis=0))


@pytest.mark.parametrize("shape", [(8, 4, 4), (4, 4), (9, 0, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput) as refused:
        latent_mask(np.zeros(shape), 2, 2)
    assert refused.value.code == "incontext.bad_mask"
