"""Rooms and the things in them: an event is seen on its own frame, not before, and only where it happens."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dubflow.errors import WrongUse
from dubflow.talkers.backgrounds import Scenery
from dubflow.talkers.events import EVENT_KINDS, SoundEvent
from dubflow.talkers.look import Look
from dubflow.talkers.painter import HeadPainter
from dubflow.talkers.pose import Light, Pose


def change(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first.astype(int) - second.astype(int)).mean(axis=-1)


def test_six_rooms_follow_the_seed():
    rooms = [Scenery(seed, 64) for seed in range(6)]
    assert len({room.room for room in rooms}) == 6
    for seed, room in enumerate(rooms):
        picture = room.frame(0)
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
        assert picture.tobytes() == Scenery(seed, 64).frame(7).tobytes()
        assert not np.array_equal(picture, Scenery(seed + 6, 64).frame(0))


@pytest.mark.parametrize("size", [96, (72, 128)])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_an_event_is_seen_on_its_frame_and_in_its_place(kind, seed, size):
    onset = 9
    room = Scenery(seed, size, [SoundEvent(kind, onset)])
    frames = [room.frame(index) for index in range(95)]
    where = room.window(kind)
    steps = [change(before, after) for before, after in pairwise(frames)]
    inside = np.array([step[where].mean() for step in steps])
    at_onset = inside[onset - 1]
    assert at_onset > 4.0
    assert inside[: onset - 1].max() < 0.02 * at_onset
    assert at_onset == inside.max()
    # Settling and the slow way back never look like another event.
    assert inside[onset + 5 :].max() < 0.30 * at_onset
    outside = np.ones(frames[0].shape[:2], dtype=bool)
    outside[where] = False
    assert max(step[outside].max() for step in steps) == 0.0
    assert np.array_equal(frames[-1], frames[0])


def test_each_of_several_events_is_seen():
    events = [SoundEvent("dog", 10), SoundEvent("dog", 30), SoundEvent("door", 20), SoundEvent("clap", 30)]
    room = Scenery(3, 128, events)
    for event in events:
        where = room.window(event.kind)
        steps = [change(room.frame(at), room.frame(at + 1))[where].mean() for at in range(event.frame - 3, event.frame)]
        assert steps[-1] > 4.0
        assert max(steps[:-1]) < 0.25 * steps[-1]


@pytest.mark.parametrize("kind", EVENT_KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_head_leaves_most_of_an_event_in_sight(kind, seed):
    room = Scenery(seed, 128, [SoundEvent(kind, 5)])
    painter = HeadPainter(Look.from_seed(seed), 128)
    where = room.window(kind)
    bare = change(room.frame(4), room.frame(5))[where].sum()
    seen = change(painter.paint(Pose(), room.frame(4)), painter.paint(Pose(), room.frame(5)))[where].sum()
    assert seen > 0.5 * bare


def test_frames_do_not_depend_on_what_was_asked_before():
    events = [SoundEvent("door", 4), SoundEvent("dog", 8)]
    one, other = Scenery(2, 96, events), Scenery(2, 96, list(reversed(events)))
    order = list(range(40))
    forwards = {index: one.frame(index).tobytes() for index in order}
    backwards = {index: other.frame(index).tobytes() for index in reversed(order)}
    assert forwards == backwards


def test_frames_cannot_be_written_on():
    for room in (Scenery(0, 64), Scenery(0, 64, [SoundEvent("dog", 1)])):
        with pytest.raises(ValueError, match="read-only"):
            room.frame(2)[0, 0] = 0


def test_a_dim_room_is_dimmer():
    lit, dim = Scenery(1, 64).frame(0), Scenery(1, 64, light=Light.low()).frame(0)
    assert dim.mean() < 0.6 * lit.mean()


def test_impossible_rooms_are_refused():
    for arguments, code in (((1, 20), "talkers.bad_size"), ((-1, 64), "talkers.bad_seed")):
        with pytest.raises(WrongUse) as refused:
            Scenery(*arguments)
        assert refused.value.code == code
