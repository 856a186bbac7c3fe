"""MediaPipe's mesh on drawn heads whose mouths are known, on real clips, and on what has no face."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import BadInput, WrongUse
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.mouth import mouth_opening, mouth_width
from dubflow.faces.pose import head_pose
from dubflow.faces.tracks import FaceTracks
from dubflow.media.decode import read_clip
from dubflow.talkers.look import Look
from dubflow.talkers.painter import HeadPainter
from dubflow.talkers.pose import Pose


def drawn_clip(frames: int, size: int, person: int, **still: float) -> tuple[np.ndarray, list[Pose]]:
    """A head that speaks and moves a little, and what it was asked to show."""
    steps = np.arange(frames)
    openings = np.clip(0.28 * np.sin(steps * 2 * np.pi / 11) ** 2 * (0.4 + 0.6 * np.sin(steps / 17) ** 2), 0, None)
    poses = [
        Pose(
            **{
                "opening": float(openings[step]),
                "width": 0.1 * np.sin(step / 5),
                "dx": 0.03 * np.sin(step / 7),
                "roll": 0.1 * np.sin(step / 13),
                "yaw": 0.2 * np.sin(step / 9),
                **still,
            }
        )
        for step in steps
    ]
    painter = HeadPainter(Look.from_seed(person), size)
    background = np.full((size, size, 3), (110, 130, 120), np.uint8)
    return np.stack([painter.paint(pose, background) for pose in poses]), poses


@pytest.mark.slow
@pytest.mark.parametrize(("size", "person"), [(128, 0), (192, 3)])
def test_the_measured_mouth_follows_the_drawn_one_without_lag(size: int, person: int) -> None:
    frames, poses = drawn_clip(66, size, person)
    tracks = MediaPipeLandmarker().landmarks(frames)
    assert tracks.coverage >= 0.99
    asked = np.array([pose.opening for pose in poses])
    measured = mouth_opening(tracks.main.landmarks)

    def correlation(shift: int) -> float:
        inner = slice(2, -2)
        return float(np.corrcoef(np.roll(measured, shift)[inner], asked[inner])[0, 1])

    assert correlation(0) > 0.975
    assert correlation(0) > max(correlation(1), correlation(-1)) + 0.1
    slope, offset = np.polyfit(asked, measured, 1)
    assert 0.8 < slope < 1.2
    assert abs(offset) < 0.03


def test_the_pose_follows_the_drawn_head() -> None:
    frames, poses = drawn_clip(60, 160, 1)
    angles = head_pose(MediaPipeLandmarker().landmarks(frames).main.landmarks)
    for column, name in ((0, "yaw"), (2, "roll")):
        asked = np.array([getattr(pose, name) for pose in poses])
        assert np.corrcoef(angles[:, column], asked)[0, 1] > 0.97, name
        assert 0.6 < np.polyfit(asked, angles[:, column], 1)[0] < 1.3, name


@pytest.mark.parametrize("size", [64, 128, 512])
def test_one_frame_of_any_size_is_a_clip(size: int) -> None:
    frames, _ = drawn_clip(1, size, 2)
    assert MediaPipeLandmarker().landmarks(frames).coverage == 1.0


def test_a_small_head_in_a_large_frame_is_found_in_its_place() -> None:
    small, _ = drawn_clip(4, 160, 0)
    frames = np.full((4, 1080, 1920, 3), 90, np.uint8)
    frames[:, 700:860, 1500:1660] = small
    tracks = MediaPipeLandmarker().landmarks(frames)
    assert tracks.coverage == 1.0
    left, top, right, bottom = tracks.main.boxes[0]
    assert 1500 < left < right < 1660
    assert 700 < top < bottom < 860


def test_two_heads_keep_their_tracks() -> None:
    one, asked_one = drawn_clip(24, 160, 0)
    other, asked_other = drawn_clip(24, 160, 5, opening=0.0)
    tracks = MediaPipeLandmarker(max_faces=2).landmarks(np.concatenate([one, other], axis=2))
    assert len(tracks.tracks) == 2
    left, right = sorted(tracks.tracks, key=lambda track: float(np.nanmean(track.boxes[:, 0])))
    assert min(left.coverage, right.coverage) > 0.95
    assert np.nanmax(left.boxes[:, 2]) < 165 < np.nanmin(right.boxes[:, 0]) + 10
    assert np.corrcoef(mouth_opening(left.landmarks), [pose.opening for pose in asked_one])[0, 1] > 0.95
    assert np.nanmax(mouth_opening(right.landmarks)) < 0.05
    assert asked_other[0].opening == 0


def test_same_frames_same_landmarks_whatever_came_before(grid_frames: np.ndarray, grid_tracks: FaceTracks) -> None:
    landmarker = MediaPipeLandmarker()
    landmarker.landmarks(drawn_clip(3, 128, 4)[0])
    again = landmarker.landmarks(iter(grid_frames[:20]))
    np.testing.assert_array_equal(again.main.landmarks, grid_tracks.main.landmarks[:20])


def test_memory_layout_and_grey_do_not_matter(grid_frames: np.ndarray, grid_tracks: FaceTracks) -> None:
    wide = np.repeat(grid_frames[:3], 2, axis=2)
    strided = wide[:, :, ::2]
    assert not strided[0].flags.c_contiguous
    landmarks = MediaPipeLandmarker().landmarks(strided).main.landmarks
    np.testing.assert_array_equal(landmarks, grid_tracks.main.landmarks[:3])
    grey = grid_frames[:3].mean(axis=3).astype(np.uint8)
    as_plane = MediaPipeLandmarker().landmarks(grey).main.landmarks
    as_channel = MediaPipeLandmarker().landmarks(grey[..., None]).main.landmarks
    np.testing.assert_array_equal(as_plane, as_channel)
    apart = np.linalg.norm(as_plane[..., :2] - landmarks[..., :2], axis=2)
    assert np.median(apart) < 2.0


def test_a_mirrored_clip_gives_mirrored_measures(grid_frames: np.ndarray, grid_tracks: FaceTracks) -> None:
    mirrored = MediaPipeLandmarker().landmarks(grid_frames[:, :, ::-1]).main.landmarks
    plain = grid_tracks.main.landmarks
    assert np.corrcoef(mouth_opening(mirrored), mouth_opening(plain))[0, 1] > 0.97
    np.testing.assert_allclose(mouth_width(mirrored), mouth_width(plain), atol=0.05)
    np.testing.assert_allclose(head_pose(mirrored)[:, 0], -head_pose(plain)[:, 0], atol=np.deg2rad(6))


def test_grid_clips_are_covered_and_their_mouths_plausible(shared_data: Path, grid_tracks: FaceTracks) -> None:
    other = read_clip(shared_data / "grid_lipnet" / "lbax4n.mpg", audio=False).frames
    assert other is not None
    for tracks in (grid_tracks, MediaPipeLandmarker().landmarks(other)):
        assert tracks.coverage == 1.0
        opening = mouth_opening(tracks.main.landmarks)
        assert opening.min() < 0.02, "lips touch somewhere in every GRID sentence"
        assert 0.1 < opening.max() < 0.35
        assert 0.4 < np.median(mouth_width(tracks.main.landmarks)) < 0.75


def test_a_large_portrait_and_a_presenter_in_1080p_are_found(shared_data: Path) -> None:
    presenter = read_clip(shared_data / "azure_avatar_guide" / "Apologizing.mp4", audio=False).frames
    assert presenter is not None
    tracks = MediaPipeLandmarker().landmarks(presenter[:12])
    assert tracks.frame_size == (1080, 1920)
    assert tracks.coverage == 1.0


def test_narration_without_a_face_says_so(shared_data: Path) -> None:
    frames = read_clip(shared_data / "negatives" / "nasa_13013.mp4", audio=False).frames
    assert frames is not None
    tracks = MediaPipeLandmarker().landmarks(frames[:120])
    assert tracks.coverage < 0.1
    assert sum(reason is not None for reason in tracks.frame_reasons) > 108


@pytest.mark.parametrize("level", [0, 128, 255])
def test_empty_pictures_and_noise_have_no_face(level: int) -> None:
    flat = np.full((3, 90, 120, 3), level, np.uint8)
    noise = np.random.default_rng(level).integers(0, 256, (3, 90, 120, 3), dtype=np.uint8)
    for frames in (flat, noise):
        tracks = MediaPipeLandmarker().landmarks(frames)
        assert tracks.frame_reasons == ("no_face",) * 3
        with pytest.raises(BadInput, match="no_face"):
            _ = tracks.main


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 400, 3), (400, 2, 3), (7, 5)])
def test_frames_too_tiny_for_a_face_do_not_crash(shape: tuple[int, ...]) -> None:
    assert MediaPipeLandmarker().landmarks([np.zeros(shape, np.uint8)]).coverage == 0.0


def test_no_frames_is_an_empty_answer() -> None:
    tracks = MediaPipeLandmarker().landmarks([])
    assert (tracks.frame_count, tracks.frame_size, tracks.coverage) == (0, (0, 0), 0.0)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([np.zeros((8, 8, 3), np.float32)], "faces.bad_frame"),
        ([np.zeros((8, 8, 4), np.uint8)], "faces.bad_frame"),
        ([np.zeros((0, 8, 3), np.uint8)], "faces.bad_frame"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], "faces.frame_size_changed"),
    ],
)
def test_frames_that_are_none_are_refused(frames: list[np.ndarray], code: str) -> None:
    with pytest.raises(BadInput) as caught:
        MediaPipeLandmarker().landmarks(frames)
    assert caught.value.code == code


def test_settings_are_checked_and_part_of_the_identity() -> None:
    with pytest.raises(WrongUse, match="bad_landmarker"):
        MediaPipeLandmarker(max_faces=0)
    assert MediaPipeLandmarker(max_faces=2).id != MediaPipeLandmarker().id == MediaPipeLandmarker().id
    assert "mediapipe-0.10" in MediaPipeLandmarker().id


def test_nothing_is_written_to_the_standard_streams(tmp_path: Path) -> None:
    """``--json`` owns standard output; MediaPipe's remarks from C++ must not get there, nor to the user's terminal."""
    np.save(tmp_path / "frames.npy", drawn_clip(3, 128, 0)[0])
    program = (
        "import sys, numpy as np\n"
        "from dubflow.faces.landmarks import MediaPipeLandmarker\n"
        "tracks = MediaPipeLandmarker().landmarks(np.load(sys.argv[1]))\n"
        "assert tracks.coverage == 1.0\n"
        "print('done')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "frames.npy")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "done\n", "")


def test_importing_the_room_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "import dubflow.faces.landmarks, dubflow.faces.crops, dubflow.faces.mouth, dubflow.faces.pose\n"
        "import dubflow.faces.features, dubflow.faces.features.embedded\n"
        "print(sorted({'mediapipe', 'cv2', 'torch', 'matplotlib', 'av'} & set(sys.modules)))\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert finished.stdout == "[]\n"
