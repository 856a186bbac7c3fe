"""The index maps name the points they claim to."""

from __future__ import annotations

import numpy as np

from dubflow.faces.indices import INNER_LIPS, MESH_TO_68, MIRROR_68, OUTER_LIPS
from dubflow.faces.tracks import FaceTracks


def test_the_68_points_are_distinct_and_mirror_onto_each_other() -> None:
    assert len(set(MESH_TO_68.tolist())) == 68
    np.testing.assert_array_equal(MIRROR_68[MIRROR_68], np.arange(68))


def test_the_68_points_lie_where_ibug_puts_them(grid_tracks: FaceTracks) -> None:
    face = grid_tracks.main.landmarks[0, MESH_TO_68, :2]
    x, y = face[:, 0], face[:, 1]
    assert (np.diff(x[1:16]) > 0).all(), "the jaw runs from left to right"
    assert (np.diff(y[:9]) > 0).all(), "down to the chin"
    assert (np.diff(y[8:17]) < 0).all(), "and up again"
    assert (np.diff(x[17:27]) > 0).all(), "brows from left to right"
    assert (np.diff(y[27:31]) > 0).all(), "down the bridge of the nose"
    assert (np.diff(x[31:36]) > 0).all(), "nostrils from left to right"
    assert y[17:27].max() < y[36:48].min() < y[30] < y[33] < y[48:].min(), "brows, eyes, nose, mouth"
    for eye in (range(36, 42), range(42, 48)):
        assert x[eye[0]] == x[eye].min()
        assert x[eye[3]] == x[eye].max()
        assert y[[eye[1], eye[2]]].max() < y[[eye[4], eye[5]]].min()
    assert (np.diff(x[48:55]) > 0).all(), "upper outer lip from left to right"
    assert (np.diff(x[54:60]) < 0).all(), "and back along the lower one"
    assert (np.diff(x[60:65]) > 0).all()
    assert (np.diff(x[64:68]) < 0).all()
    assert y[51] < y[62] < y[66] < y[57], "outer, inner, inner, outer edge of the lips"


def test_mirror_pairs_lie_opposite(grid_tracks: FaceTracks) -> None:
    face = np.nanmean(grid_tracks.main.landmarks[:, MESH_TO_68, :2], axis=0)
    middle = face[[27, 8, 33, 51], 0].mean()
    size = np.ptp(face[:, 0])
    opposite = face[MIRROR_68]
    np.testing.assert_allclose(face[:, 0] + opposite[:, 0], 2 * middle, atol=0.12 * size)
    np.testing.assert_allclose(face[:, 1], opposite[:, 1], atol=0.08 * size)


def test_lip_rings_run_clockwise_and_the_inner_lies_within(grid_tracks: FaceTracks) -> None:
    import cv2

    landmarks = grid_tracks.main.landmarks
    widest = int(np.argmax(landmarks[:, 14, 1] - landmarks[:, 13, 1]))
    outer, inner = landmarks[widest, OUTER_LIPS, :2], landmarks[widest, INNER_LIPS, :2]
    for ring in (outer, inner):
        following = np.roll(ring, -1, axis=0)
        assert np.sum(ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]) > 0
    assert all(cv2.pointPolygonTest(outer, (float(x), float(y)), False) > 0 for x, y in inner)
