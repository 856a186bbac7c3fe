"""Who watches a job hears how far it is, and may stop it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubbing.room import FRAMES, Hummer, Room
from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.jobs import DubTask, dub_all, plan_task
from dubflow.dubbing.request import DubOptions, DubRequest
from dubflow.dubbing.voice import read_voice
from dubflow.dubbing.watching import Forward, Part, Stage, Watch
from dubflow.errors import BadInput, OurFault
from dubflow.progress import Silent


@dataclass
class Listener:
    """Writes down what it hears; stops the job once it has heard ``enough`` times of a stage."""

    until: Stage | None = None
    enough: int = 1
    heard: list[tuple[Stage, float]] = field(default_factory=list)

    def stage(self, stage: Stage, share: float) -> None:
        self.heard.append((stage, share))

    def stopped(self) -> bool:
        return sum(stage == self.until for stage, _ in self.heard) >= self.enough

    @property
    def shares(self) -> list[float]:
        return [share for _, share in self.heard]


def tasks(room: Room, folder: Path, count: int = 2) -> list[DubTask]:
    return [
        DubTask(
            DubRequest.model_validate(
                {
                    "clip": room.clip(number),
                    "segments": [{"text": "red"}],
                    "language": "en",
                    "reference": str(room.clip()),
                    "options": {"steps": 6},
                }
            ),
            folder / f"{number}.mp4",
        )
        for number in range(count)
    ]


@settings(deadline=None)
@given(st.lists(st.floats(-0.5, 1.5), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_a_part_stays_in_its_place_and_forward_never_goes_back(shares: list[float], a: float, b: float) -> None:
    listener, (start, stop) = Listener(), sorted((a, b))
    watch = Part(Forward(listener), start, stop)
    for share in shares:
        watch.stage("looking", share)
    assert listener.shares == sorted(listener.shares)
    assert all(start <= share <= stop for share in listener.shares)


def test_a_run_is_heard_from_planning_to_writing(room: Room, engine: DiflowEngine, tmp_path: Path) -> None:
    listener = Listener()
    report = dub_all(tasks(room, tmp_path, 1), engine, Silent(), listener)
    assert len(report.results) == 1
    assert listener.shares == sorted(listener.shares)
    assert {stage for stage, _ in listener.heard} == {"planning", "looking", "speaking", "writing"}
    # Every step of the flow is heard.
    assert len({share for stage, share in listener.heard if stage == "speaking"}) > 6


@pytest.mark.parametrize("until", ["planning", "looking", "speaking", "writing"])
def test_a_stopped_run_ends_between_its_stages(room: Room, engine: DiflowEngine, tmp_path: Path, until: Stage) -> None:
    listener = Listener(until)
    with pytest.raises(BadInput) as caught:
        dub_all(tasks(room, tmp_path, 1), engine, Silent(), listener)
    assert caught.value.code == "dubbing.cancelled"
    assert not list(tmp_path.glob("*.mp4"))
    assert listener.heard[-1][0] == until


def test_what_was_finished_before_a_stop_stays(room: Room, tmp_path: Path) -> None:
    both = tasks(room, tmp_path)
    with pytest.raises(BadInput, match="cancelled"):
        dub_all(both, Hummer(), Silent(), Listener("writing", 2))
    assert (both[0].out.is_file(), both[1].out.exists()) == (True, False)
    assert dub_all(both, Hummer(), Silent()).found == 1


def test_a_stop_reaches_the_flow_between_two_steps(room: Room, engine: DiflowEngine) -> None:
    (task,) = tasks(room, room.codec, 1)
    _, plan = plan_task(task)
    options = DubOptions(steps=6)
    job = Job(room.clip(), FRAMES, plan.segments, "en", read_voice(room.clip(), options), options)
    seen = engine.look(job, Listener())
    whole = Listener()
    engine.speak([seen], whole)
    steps = [share for share in whole.shares if share < 1]
    assert len(steps) == 7  # before the first, and after each
    cut = Listener("speaking", 3)
    with pytest.raises(BadInput, match="cancelled"):
        engine.speak([seen], cut)
    assert cut.shares == steps[:3]


def test_clips_tried_again_alone_do_not_turn_the_share_back(room: Room, tmp_path: Path) -> None:
    class Choosy(Hummer):
        def speak(self, seen: Sequence[Job], watch: Watch) -> list[list[SpokenSegment]]:
            watch.stage("speaking", 0.9)
            if len(seen) > 1:
                raise OurFault("diflow.not_finite", "Too much.")
            return super().speak(seen, watch)

    listener = Listener()
    assert len(dub_all(tasks(room, tmp_path), Choosy(), Silent(), listener).results) == 2
    assert listener.shares == sorted(listener.shares)


def test_a_stop_reaches_the_look_between_two_frames(room: Room, engine: DiflowEngine) -> None:
    (task,) = tasks(room, room.codec, 1)
    _, plan = plan_task(task)
    options = DubOptions(no_face="speak")
    job = Job(room.clip(), FRAMES, plan.segments, "en", read_voice(room.clip(), options), options)
    whole = Listener()
    engine.look(job, whole)
    assert whole.shares == sorted(whole.shares)
    assert len([share for share in whole.shares if 0.2 < share < 0.9]) == FRAMES - 1, "every frame is heard"
    cut = Listener("looking", 5)
    with pytest.raises(BadInput, match="cancelled"):
        engine.look(job, cut)
    assert cut.shares == whole.shares[:5]
