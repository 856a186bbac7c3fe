"""Which face is which, tested with pictures in which every "face" is a square of its own grey level.

The stand-in for the mesh really looks at the pixels it is given, so search, crops, maps and bookkeeping are all real.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.faces.following import Follower
from dubflow.faces.frames import Picture
from dubflow.faces.tracks import POINTS, FaceTracks, Floats

Square = tuple[int, int, int, int]  # left, top, side, grey level


def draw(squares: list[Square], size: tuple[int, int] = (240, 320)) -> Picture:
    frame = np.zeros((*size, 3), np.uint8)
    for left, top, side, level in squares:
        frame[top : top + side, left : left + side] = level
    return frame


def squares_seen(picture: Picture) -> list[Floats]:
    """One set of landmarks a connected patch that is not black and does not touch the picture's edge."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats((picture[..., 0] > 60).astype(np.uint8))
    faces = []
    for label in range(1, count):
        left, top, width, height, area = stats[label]
        touches = left == 0 or top == 0 or left + width == labels.shape[1] or top + height == labels.shape[0]
        if touches or area < 0.8 * width * height or area < 30:
            continue
        grid = np.random.default_rng(0).uniform(0, 1, (POINTS, 2))
        grid[:2] = [[0, 0], [1, 1]]
        # The eye corners that turn a crop upright lie level.
        grid[33], grid[263] = (0.1, 0.4), (0.9, 0.4)
        points = np.zeros((POINTS, 3), np.float32)
        points[:, :2] = [left, top] + grid * [width, height]
        faces.append(points)
    return faces


class Squares:
    """The stand-in for the mesh; counts how many are open."""

    open = 0

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = np.float32([shift, 0, 0])
        Squares.open += 1

    def __call__(self, picture: Picture) -> list[Floats]:
        return [points + self.shift for points in squares_seen(picture)]

    def close(self) -> None:
        Squares.open -= 1


def follow(frames: list[Picture], *, max_faces: int = 1, max_gap: int = 3, min_frames: int = 2) -> FaceTracks:
    Squares.open = 0
    follower = Follower(
        detect=Squares(), open_mesh=Squares, max_faces=max_faces, min_face_px=12, max_gap=max_gap, search_every=4
    )
    for frame in frames:
        follower.step(frame)
        assert Squares.open <= 1 + max_faces + 1, "meshes of faces long gone are closed"
    follower.close()
    assert Squares.open == 1, "only the detector, which is not the follower's own"
    return follower.result((240, 320), min_frames)


def centres(tracks: FaceTracks, index: int) -> np.ndarray:
    boxes = tracks.tracks[index].boxes
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def test_a_moving_face_is_followed_where_it_goes() -> None:
    lefts = [100 + 4 * step for step in range(20)]
    tracks = follow([draw([(left, 80, 60, 200)]) for left in lefts])
    assert len(tracks.tracks) == 1
    assert tracks.coverage == 1.0
    np.testing.assert_allclose(centres(tracks, 0), [[left + 30, 110] for left in lefts], atol=1.0)


def test_two_faces_that_pass_each_other_keep_their_identities() -> None:
    frames = [draw([(20 + 6 * step, 20, 50, 200), (230 - 6 * step, 130, 60, 220)]) for step in range(35)]
    tracks = follow(frames, max_faces=2)
    assert [track.identity for track in tracks.tracks] == [0, 1]
    assert [track.coverage for track in tracks.tracks] == [1.0, 1.0]
    larger, smaller = tracks.tracks
    assert larger.height == pytest.approx(60, abs=2)
    assert smaller.height == pytest.approx(50, abs=2)
    assert (np.diff(centres(tracks, 0)[:, 0]) < 0).all()
    assert (np.diff(centres(tracks, 1)[:, 0]) > 0).all()
    assert tracks.main is larger


def test_with_one_face_asked_for_the_largest_is_taken_and_kept() -> None:
    frames = [draw([(20, 60, 50, 200), (200, 60, 60 if step < 5 else 40, 220)]) for step in range(12)]
    tracks = follow(frames)
    assert len(tracks.tracks) == 1
    np.testing.assert_allclose(centres(tracks, 0)[:5, 0], 230, atol=1)
    np.testing.assert_allclose(centres(tracks, 0)[5:, 0], 220, atol=1)


def test_a_short_gap_keeps_the_identity_and_names_its_frames() -> None:
    gone = {6, 7, 8}
    frames = [draw([] if step in gone else [(100 + step, 80, 60, 200)]) for step in range(15)]
    tracks = follow(frames)
    assert len(tracks.tracks) == 1
    track = tracks.main
    assert set(np.flatnonzero(~track.found)) == gone
    assert [track.reasons[step] for step in sorted(gone)] == ["lost_track"] * 3
    assert tracks.frame_reasons == track.reasons
    assert np.isnan(track.landmarks[6]).all()
    assert np.isfinite(track.landmarks[9]).all()


def test_after_a_long_gap_it_is_another_face() -> None:
    frames = [draw([] if 5 <= step < 12 else [(100, 80, 60, 200)]) for step in range(20)]
    tracks = follow(frames)
    assert len(tracks.tracks) == 2
    first, second = tracks.tracks
    assert first.reasons[5:12] == ("lost_track",) * 4 + ("no_face",) * 3
    assert first.reasons[12:] == ("no_face",) * 8
    assert second.reasons[:12] == ("no_face",) * 12
    assert tracks.coverage == pytest.approx(13 / 20)
    assert tracks.main is second


def test_a_cut_to_another_place_starts_another_track() -> None:
    tracks = follow([draw([(20 if step < 8 else 220, 80, 60, 200)]) for step in range(20)])
    assert [track.found.sum() for track in tracks.tracks] == [8, 12]


def test_a_hidden_face_does_not_slip_onto_its_neighbour() -> None:
    frames = [
        draw([(150, 80, 60, 220)] if step in (6, 7) else [(40, 80, 60, 200), (150, 80, 60, 220)]) for step in range(12)
    ]
    tracks = follow(frames, max_faces=2)
    assert len(tracks.tracks) == 2
    left = min((0, 1), key=lambda index: float(np.nanmean(centres(tracks, index)[:, 0])))
    assert np.flatnonzero(~tracks.tracks[left].found).tolist() == [6, 7]
    np.testing.assert_allclose(np.delete(centres(tracks, left)[:, 0], [6, 7]), 70, atol=1)
    assert tracks.tracks[1 - left].coverage == 1.0


def test_many_cuts_leave_nothing_open() -> None:
    places = [(20, 20), (220, 20), (20, 160), (220, 160)]
    frames = [draw([(*places[step // 6 % 4], 60, 200)]) for step in range(60)]
    tracks = follow(frames, max_gap=1)
    assert len(tracks.tracks) == 10
    assert tracks.coverage == 1.0


def test_a_face_without_margin_is_found_by_the_wider_search() -> None:
    """The detector refuses what touches the edge; only the square around the frame shows it whole."""
    frame = np.full((60, 60, 3), 200, np.uint8)
    frame[0], frame[:, 0] = 0, 0
    assert follow([draw([(100, 80, 60, 200)])] * 3).coverage == 1.0
    assert not squares_seen(frame)


def test_small_and_fleeting_faces_are_reported_not_followed() -> None:
    small = follow([draw([(100, 80, 9, 200)])] * 4)
    assert not small.tracks
    assert Counter(small.frame_reasons) == {"too_small": 4}
    fleeting = follow([draw([(100, 80, 60, 200)] if step == 7 else []) for step in range(20)])
    assert not fleeting.tracks
    assert fleeting.frame_reasons[7] == "low_confidence"
    assert fleeting.coverage == 0.0


def test_two_looks_that_disagree_are_not_believed() -> None:
    follower = Follower(
        detect=Squares(), open_mesh=lambda: Squares(40), max_faces=1, min_face_px=12, max_gap=3, search_every=4
    )
    for _ in range(3):
        follower.step(draw([(100, 80, 60, 200)]))
    tracks = follower.result((240, 320), 1)
    assert not tracks.tracks
    assert set(tracks.frame_reasons) == {"low_confidence"}


def test_no_frames_and_no_faces_are_answers_not_crashes() -> None:
    empty = follow([])
    assert (empty.frame_count, empty.coverage, list(empty.tracks)) == (0, 0.0, [])
    blank = follow([draw([])] * 5)
    assert blank.frame_reasons == ("no_face",) * 5
    with pytest.raises(BadInput) as caught:
        _ = blank.main
    assert caught.value.code == "faces.no_face"
    assert caught.value.details == {"frames": 5, "reasons": {"no_face": 5}}
