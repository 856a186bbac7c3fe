"""Crops show what they promise, steadily, and at known places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.faces.crops import (
    LIP_CROP,
    MEAN_FACE,
    MEAN_FACE_EYES_PX,
    crop_face,
    crop_lips,
    lip_maps,
)
from dubflow.faces.geometry import apply, square_map
from dubflow.faces.indices import MESH_TO_68, STABLE
from dubflow.faces.tracks import FaceTrack, FaceTracks

MakeFace = Callable[..., np.ndarray]
MakeTrack = Callable[[np.ndarray], FaceTrack]


def moved(face: np.ndarray, centre: tuple[float, float], eyes_px: float, roll: float = 0.0) -> np.ndarray:
    """``face`` (eye distance 1) in a frame: between its eyes at ``centre``, rolled clockwise by ``roll``."""
    turn = eyes_px * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return np.concatenate([face[:, :2] @ turn.T + centre, face[:, 2:] * eyes_px], axis=1)


def test_lips_come_out_upright_centred_and_at_one_scale(made_up_face: MakeFace, made_up_track: MakeTrack) -> None:
    for centre, eyes, roll in (((100, 80), 40, 0.0), ((60, 90), 70, 0.6), ((180, 50), 25, -1.2)):
        track = made_up_track(moved(made_up_face(), centre, eyes, roll)[None])
        (affine,) = lip_maps(track)
        stable = apply(affine, track.landmarks[0, STABLE, :2])
        np.testing.assert_allclose(stable - stable[0], (MEAN_FACE - MEAN_FACE[0]) * MEAN_FACE_EYES_PX, atol=0.01)
        lips = apply(affine, track.landmarks[0, MESH_TO_68[48:], :2]).mean(axis=0)
        np.testing.assert_allclose(lips, [LIP_CROP / 2, LIP_CROP / 2], atol=0.01)


def test_a_mark_on_the_lips_is_seen_in_the_middle_of_the_crop(made_up_face: MakeFace, made_up_track: MakeTrack) -> None:
    import cv2

    face = moved(made_up_face(), (150, 90), 60, 0.3)
    track = made_up_track(face[None])
    middle = face[MESH_TO_68[48:], :2].mean(axis=0)
    frame = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(frame, tuple(round(16 * (value - 0.5)) for value in middle), 16 * 5, (255, 255, 255), -1, 0, 4)
    crop = crop_lips(frame[None], track)[0].astype(float)
    y, x = np.mgrid[0:LIP_CROP, 0:LIP_CROP] + 0.5
    np.testing.assert_allclose([(crop * x).sum() / crop.sum(), (crop * y).sum() / crop.sum()], 48, atol=0.3)
    assert crop.max() == 255
    assert np.sqrt((crop > 127).sum() / np.pi) == pytest.approx(5 * MEAN_FACE_EYES_PX / 60, rel=0.1)


def test_crops_grow_with_their_size_not_with_their_content(made_up_face: MakeFace, made_up_track: MakeTrack) -> None:
    track = made_up_track(moved(made_up_face(), (150, 90), 60)[None])
    (small,), (large,) = lip_maps(track, 48), lip_maps(track, 192)
    np.testing.assert_allclose(large, 4 * small, rtol=1e-6)


def test_the_crop_is_steady_under_trembling_landmarks(made_up_face: MakeFace, made_up_track: MakeTrack) -> None:
    generator = np.random.default_rng(0)
    still = moved(made_up_face(), (150, 90), 60)
    trembling = np.stack([still + generator.normal(size=still.shape) * 1.0 for _ in range(80)])
    point = np.array([150.0, 130.0])

    def jitter(window: int) -> float:
        places = np.stack([apply(affine, point) for affine in lip_maps(made_up_track(trembling), window=window)])
        return float(places[10:-10].std(axis=0).mean())

    assert jitter(12) < 0.4 * jitter(1)


def test_the_crop_keeps_up_with_a_moving_head(made_up_face: MakeFace, made_up_track: MakeTrack) -> None:
    """A head that moves evenly is centred in every frame: averages over the next twelve frames would run ahead."""
    face = made_up_face()
    track = made_up_track(np.stack([moved(face, (60 + 3 * step, 90), 60) for step in range(30)]))
    for step, affine in enumerate(lip_maps(track)):
        lips = apply(affine, track.landmarks[step, MESH_TO_68[48:], :2]).mean(axis=0)
        np.testing.assert_allclose(lips, [48, 48], atol=0.02)


def test_frames_without_the_face_are_cropped_where_it_must_be(made_up_face: MakeFace, made_up_track: MakeTrack) -> None:
    face = made_up_face()
    whole = np.stack([moved(face, (60 + 3 * step, 90), 60) for step in range(30)])
    holes = whole.copy()
    holes[[4, 5, 6, 17]] = np.nan
    np.testing.assert_allclose(lip_maps(made_up_track(holes)), lip_maps(made_up_track(whole)), atol=1e-3)


def test_the_face_crop_holds_the_face_and_keeps_its_tilt(made_up_face: MakeFace, made_up_track: MakeTrack) -> None:
    import cv2

    face = moved(made_up_face(), (150, 110), 60, 0.5)
    track = made_up_track(face[None])
    frame = np.zeros((260, 320, 3), np.uint8)
    for index, colour in ((33, (255, 0, 0)), (263, (0, 255, 0))):
        cv2.circle(frame, tuple(int(value) for value in face[index, :2]), 4, colour, -1)
    crop = crop_face(frame[None], track, size=128)[0].astype(float)
    assert crop.shape == (128, 128, 3)
    y, x = np.mgrid[0:128, 0:128]
    left, right = (
        np.array([(crop[..., channel] * axis).sum() / crop[..., channel].sum() for axis in (x, y)])
        for channel in (0, 1)
    )
    assert np.arctan2(*(right - left)[::-1]) == pytest.approx(0.5, abs=0.05)
    box = track.boxes[0]
    side = 1.4 * max(box[2] - box[0], box[3] - box[1])
    affine = square_map((box[:2] + box[2:]) / 2, float(side), 128)
    np.testing.assert_allclose(left + 0.5, apply(affine, face[33, :2]), atol=1.0)


def test_grid_crops_show_the_mouth_moving(grid_frames: np.ndarray, grid_tracks: FaceTracks) -> None:
    lips, face = crop_lips(grid_frames, grid_tracks.main), crop_face(grid_frames, grid_tracks.main)
    assert (lips.shape, lips.dtype) == ((75, 96, 96), np.uint8)
    assert (face.shape, face.dtype) == ((75, 128, 128, 3), np.uint8)
    change = lips.astype(float).std(axis=0)
    mouth, rim = change[30:66, 24:72].mean(), change[:12].mean()
    assert mouth > 2 * rim, "what moves is in the middle; the skin around it stands still"


def test_what_does_not_belong_together_is_refused(
    made_up_face: MakeFace, made_up_track: MakeTrack, grid_frames: np.ndarray
) -> None:
    track = made_up_track(moved(made_up_face(), (150, 90), 60)[None])
    absent = made_up_track(np.full((1, 478, 3), np.nan))
    for crop in (crop_face, crop_lips):
        with pytest.raises(BadInput, match="frames_differ"):
            crop(grid_frames[:2], track)
        with pytest.raises(BadInput, match="no_face"):
            crop(grid_frames[:1], absent)


def test_a_track_whose_parts_differ_in_length_is_refused() -> None:
    with pytest.raises(BadInput, match="bad_track"):
        FaceTrack(np.zeros((2, 478, 3), np.float32), np.ones(3, bool), (None, None, None))
