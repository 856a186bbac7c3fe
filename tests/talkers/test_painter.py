"""Laws of the drawn head, seen in its pixels."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import WrongUse
from dubflow.talkers.backgrounds import Scenery
from dubflow.talkers.look import Look
from dubflow.talkers.painter import OCCLUDERS, HeadPainter
from dubflow.talkers.pose import Light, Pose

SIZE = 96
GREEN = np.zeros((SIZE, SIZE, 3), dtype=np.uint8) + np.array([0, 255, 0], dtype=np.uint8)
BUSY = Pose(
    opening=0.2, width=0.1, rounding=0.3, blink=0.4, brow_raise=0.7, gaze_x=0.5, dx=0.03, roll=0.1, yaw=0.3, pitch=0.1
)
POSES = st.builds(
    Pose, **{name: st.floats(*Pose.limits()[name]) for name in Pose.limits() if name not in ("dx", "dy", "scale")}
)  # fmt: skip


def painted(look: Look, pose: Pose, **settings_: object) -> np.ndarray:
    return HeadPainter(look, SIZE, **settings_).paint(pose, GREEN)


def apart(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


def silhouette(picture: np.ndarray) -> np.ndarray:
    return (picture != GREEN).any(axis=-1)


def test_same_look_and_pose_same_bytes_whatever_was_painted_before():
    look = Look.from_seed(5)
    fresh = HeadPainter(look, SIZE).paint(BUSY, GREEN)
    used = HeadPainter(look, SIZE)
    for pose in (Pose(), Pose(opening=0.5, jaw=0.1), Pose(blink=1.0, brow_frown=1.0), Pose(yaw=-0.7, rounding=1.0)):
        used.paint(pose, GREEN)
    assert used.paint(BUSY, GREEN).tobytes() == fresh.tobytes()


def test_number_of_opencv_threads_is_left_alone_and_does_not_matter():
    before = cv2.getNumThreads()
    try:
        pictures = []
        for threads in (1, 3):
            cv2.setNumThreads(threads)
            pictures.append(painted(Look.from_seed(2), BUSY).tobytes())
            assert cv2.getNumThreads() == threads
        assert pictures[0] == pictures[1]
    finally:
        cv2.setNumThreads(before)


def test_eight_seeds_are_eight_pictures():
    pictures = [painted(Look.from_seed(seed), Pose()) for seed in range(8)]
    assert min(apart(one, other) for index, one in enumerate(pictures) for other in pictures[:index]) > 6.0


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), POSES, st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(0.5, 1.8))
def test_every_person_can_be_painted_in_every_pose(seed, pose, dx, dy, scale):
    picture = painted(Look.from_seed(seed), dataclasses.replace(pose, dx=dx, dy=dy, scale=scale))
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.dtype == np.uint8
    assert 0.02 < silhouette(picture).mean() < 1.0


def test_the_background_is_kept_where_nobody_is_and_never_written_on():
    room = Scenery(0, SIZE).frame(0)
    before = room.tobytes()
    look = Look.from_seed(7)
    head = HeadPainter(look, SIZE)
    over_room, nobody = head.paint(Pose(), room), ~silhouette(head.paint(Pose(), GREEN))
    assert room.tobytes() == before
    assert np.array_equal(over_room[nobody], room[nobody])
    assert nobody[:20, :12].all()
    assert nobody[:20, -12:].all()
    # In the middle of the face the background does not shine through.
    black = head.paint(Pose(), np.zeros_like(GREEN))
    middle = (slice(40, 60), slice(40, 56))
    assert np.array_equal(over_room[middle], black[middle])


@pytest.mark.parametrize("seed", range(4))
def test_a_wider_opening_shows_more_of_the_dark_between_the_lips(seed):
    head = HeadPainter(Look.from_seed(seed), 192)
    background = np.full((192, 192, 3), 255, dtype=np.uint8)
    dark = []
    for opening in (0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6):
        mouth = head.paint(Pose(opening=opening, teeth=0.0), background)[100:170, 76:116].astype(int)
        dark.append(int((mouth.max(axis=-1) < 62).sum()))
    assert all(after > before for before, after in pairwise(dark[1:]))
    assert dark[-1] > 500


def test_teeth_and_tongue_are_seen_when_asked_for():
    head = HeadPainter(Look.from_seed(1), 192)
    background = np.full((192, 192, 3), 90, dtype=np.uint8)
    mouth = (slice(110, 150), slice(76, 116))
    shown = {
        name: head.paint(pose, background)[mouth].astype(int)
        for name, pose in {
            "bare": Pose(opening=0.2, teeth=0.0),
            "teeth": Pose(opening=0.2),
            "tongue": Pose(opening=0.2, teeth=0.0, tongue=1.0),
        }.items()
    }
    white = {name: int((part.min(axis=-1) > 150).sum()) for name, part in shown.items()}
    assert white["teeth"] > white["bare"] + 20
    assert shown["tongue"][..., 0].mean() > shown["bare"][..., 0].mean() + 5


@pytest.mark.parametrize(
    "feature", ["press", "rounding", "brow_raise", "brow_frown", "gaze_x", "gaze_y", "jaw", "width"]
)
def test_each_part_moves_only_its_region(feature):
    size = 128
    background = np.full((size, size, 3), 120, dtype=np.uint8)
    head = HeadPainter(Look.from_seed(9), size)
    high = Pose.limits()[feature][1]
    moved = np.abs(
        head.paint(Pose(**{feature: high}), background).astype(int) - head.paint(Pose(), background)
    ).sum(axis=-1)  # fmt: skip
    assert moved.max() > 30
    rows = np.flatnonzero(moved.max(axis=1) > 12)
    upper = feature in ("brow_raise", "brow_frown", "gaze_x", "gaze_y")
    eyes_end, mouth_start = 66, 60
    assert (rows.max() < eyes_end) if upper else (rows.min() > mouth_start)


def test_the_whole_head_moves_with_the_pose():
    head = HeadPainter(Look.from_seed(3), SIZE)
    rest = silhouette(head.paint(Pose(), GREEN))
    top = slice(0, 50)  # above the shoulders, which follow less

    def centre(pose: Pose) -> np.ndarray:
        return np.argwhere(silhouette(head.paint(pose, GREEN))[top]).mean(axis=0)

    start = np.argwhere(rest[top]).mean(axis=0)
    assert centre(Pose(dx=0.1))[1] - start[1] == pytest.approx(0.1 * SIZE, abs=1.0)
    assert centre(Pose(roll=0.3))[1] > start[1] + 4
    assert silhouette(head.paint(Pose(scale=1.2), GREEN))[top].sum() > 1.1 * rest[top].sum()


def test_low_light_is_dim_and_light_comes_from_its_side():
    look = Look.from_seed(4)
    face = (slice(40, 70), slice(34, 62))
    lit, dim = painted(look, Pose()), painted(look, Pose(), light=Light.low())
    assert dim[face].mean() < 0.65 * lit[face].mean()
    bald = look.model_copy(update={"hair_style": "bald", "age": 0.3, "glasses": "none"})
    left, right = (painted(bald, Pose(), light=Light(x=x)) for x in (-0.8, 0.8))
    halves = (slice(30, 70), slice(26, 46)), (slice(30, 70), slice(50, 70))
    assert left[halves[0]].mean() > left[halves[1]].mean() + 8
    assert right[halves[1]].mean() > right[halves[0]].mean() + 8


@pytest.mark.parametrize("occluder", [kind for kind in OCCLUDERS if kind != "none"])
def test_what_is_held_before_the_mouth_hides_its_movement(occluder):
    size = 128
    background = np.full((size, size, 3), 120, dtype=np.uint8)
    mouth = (slice(74, 90), slice(52, 76))

    def movement(head: HeadPainter) -> float:
        shut, open_ = (head.paint(Pose(opening=opening), background)[mouth] for opening in (0.0, 0.15))
        return apart(shut, open_)

    look = Look.from_seed(6)
    free, hidden = HeadPainter(look, size), HeadPainter(look, size, occluder=occluder)
    assert movement(hidden) < 0.25 * movement(free)
    eyes = (slice(44, 62), slice(40, 88))
    assert apart(free.paint(Pose(), background)[eyes], hidden.paint(Pose(), background)[eyes]) < 1.5


def test_pictures_need_not_be_square():
    background = np.full((80, 140, 3), 30, dtype=np.uint8)
    picture = HeadPainter(Look.from_seed(2), (80, 140)).paint(Pose(), background)
    assert picture.shape == (80, 140, 3)
    assert (picture[:, :20] == 30).all()


def test_wrong_arguments_are_refused():
    look = Look.from_seed(0)
    for arguments, code in (
        ({"size": 20}, "talkers.bad_size"),
        ({"size": 64, "occluder": "scarf"}, "talkers.bad_occluder"),
    ):
        with pytest.raises(WrongUse) as refused:
            HeadPainter(look, **arguments)
        assert refused.value.code == code
    head = HeadPainter(look, 64)
    for background in (np.zeros((32, 64, 3), dtype=np.uint8), np.zeros((64, 64, 3), dtype=np.float32)):
        with pytest.raises(WrongUse) as refused:
            head.paint(Pose(), background)
        assert refused.value.code == "talkers.bad_background"
