"""Faces to test with: synthetic landmarks, real GRID frames, drawn heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dubflow.faces.indices import INNER_LIPS, LOWER_LIP_INNER, MESH_TO_68, MOUTH_CORNERS, STABLE, UPPER_LIP_INNER
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.tracks import POINTS, FaceTrack, FaceTracks


def flat_face(opening: float = 0.0, width: float = 0.5) -> np.ndarray:
    """A made-up frontal face [478, 3] whose outer eye corners lie at (-.5, 0) and (.5, 0); mouth as asked."""
    points = np.random.default_rng(0).uniform((-0.7, -0.7, -0.1), (0.7, 1.3, 0.1), (POINTS, 3))
    points[[127, 356, 10, 152], :2] = [(-0.75, 0.0), (0.75, 0.0), (0.0, -0.75), (0.0, 1.35)]
    points[list(MESH_TO_68[48:]), :2] = [0.0, 0.8]
    ring = np.linspace(np.pi, 3 * np.pi, len(INNER_LIPS), endpoint=False)
    points[list(INNER_LIPS), :2] = np.stack([0.4 * width * np.cos(ring), 0.8 + 0.5 * opening * np.sin(ring)], axis=1)
    points[list(UPPER_LIP_INNER), 1] = 0.8 - opening / 2
    points[list(LOWER_LIP_INNER), 1] = 0.8 + opening / 2
    points[list(MOUTH_CORNERS), :2] = [(-width / 2, 0.8), (width / 2, 0.8)]
    points[list(STABLE), :2] = [(0.0, 0.555), (-0.5, 0.0), (-0.194, 0.022), (0.194, 0.022), (0.5, 0.0)]
    points[list(STABLE), 2] = 0.0
    return points


@pytest.fixture
def made_up_face() -> Callable[..., np.ndarray]:
    """``made_up_face(opening, width)``: see ``flat_face``."""
    return flat_face


@pytest.fixture
def made_up_track() -> Callable[[np.ndarray], FaceTrack]:
    """A track of landmarks [F, 478, 3]; a frame with NaN is a frame without the face."""

    def make(landmarks: np.ndarray) -> FaceTrack:
        found = np.isfinite(landmarks).all(axis=(1, 2))
        return FaceTrack(landmarks.astype(np.float32), found, tuple(None if here else "lost_track" for here in found))

    return make


@pytest.fixture(scope="session")
def grid_frames(shared_data: Path) -> np.ndarray:
    """75 real frames of GRID's speaker 20 saying "bin red by k seven now", uint8 [75, 288, 360, 3]."""
    from dubflow.media.decode import read_clip

    frames = read_clip(shared_data / "grid_lipnet" / "brbk7n.mpg", audio=False).frames
    assert frames is not None
    return frames


@pytest.fixture(scope="session")
def grid_tracks(grid_frames: np.ndarray) -> FaceTracks:
    return MediaPipeLandmarker().landmarks(grid_frames)


@pytest.fixture(scope="session")
def grid_lips(grid_frames: np.ndarray, grid_tracks: FaceTracks) -> np.ndarray:
    from dubflow.faces.crops import crop_lips

    return crop_lips(grid_frames, grid_tracks.main)


@pytest.fixture(scope="session")
def grid_face(grid_frames: np.ndarray, grid_tracks: FaceTracks) -> np.ndarray:
    from dubflow.faces.crops import crop_face

    return crop_face(grid_frames, grid_tracks.main)
