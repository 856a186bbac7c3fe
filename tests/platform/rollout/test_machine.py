"""The state machine: what passes goes on, what nobody knows holds, what is worse goes back; also after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.platform.rollout.checks import Requests
from dubflow.platform.rollout.machine import Rollout
from dubflow.platform.rollout.policy import RolloutPolicy
from dubflow.platform.rollout.records import RolloutLog, standing_of
from rollouts import Stage, contest, counted, pairs

GOOD, BAD, FEW = pairs(24), pairs(24, worse=0.5), pairs(4)


class Killed(BaseException):
    """As SIGKILL would be: nothing of ours catches it."""


def made(folder: Path, *answers: list) -> tuple[Rollout, Stage]:  # type: ignore[type-arg]
    stage = Stage(*answers)
    return Rollout(RolloutLog(folder), stage), stage


def test_a_good_candidate_goes_live_step_by_step(tmp_path: Path) -> None:
    rollout, stage = made(tmp_path, GOOD)
    now = rollout.start(contest(), "ada")
    assert (now.phase, now.percent, stage.share, stage.champion) == ("running", 10, 10, 1)
    now = rollout.run("ada")
    assert (now.phase, now.percent, now.looks, now.carried_out) == ("promoted", 100, 2, True)
    assert stage.champion == 2
    assert stage.calls == ["share 10", "share 10", "golden 24", "share 50", "share 50", "golden 48", "promote"]
    actions = [one.action for one in rollout.log.entries()]
    assert actions == ["start", "done", "advance", "done", "promote", "done"]
    advanced = rollout.log.entries()[2]
    assert {one.name for one in advanced.checks} == {"answering", "quality", "speed", "requests"}
    assert all(one.reason for one in advanced.checks)


def test_a_bad_candidate_goes_back_with_reasons(tmp_path: Path) -> None:
    rollout, stage = made(tmp_path, GOOD, BAD)
    rollout.start(contest(), "ada")
    now = rollout.run("ada")
    assert (now.phase, now.percent) == ("rolled_back", 0)
    assert (stage.champion, stage.share) == (1, 0)
    back = next(one for one in rollout.log.entries() if one.action == "rollback")
    assert any("worse by more than 10 %" in reason for reason in back.reasons)
    with pytest.raises(WrongUse, match="no_rollout"):
        rollout.advance("ada")
    rollout.start(contest(candidate=3, candidate_package="c" * 64), "ada")
    assert rollout.log.standing().contest.candidate == 3  # type: ignore[union-attr]


def test_what_nobody_knows_is_held_and_never_promoted(tmp_path: Path) -> None:
    rollout, stage = made(tmp_path, FEW)
    rollout.start(contest(), "ada")
    for look in (1, 2, 3):
        now = rollout.run("ada")
        assert (now.phase, now.percent, now.looks) == ("running", 10, look)
    assert "promote" not in stage.calls


@pytest.mark.parametrize(
    "missing",
    [(None, None), (counted(1000), None), (counted(3), counted(9000))],
    ids=["no Prometheus", "no champion", "too few"],
)
def test_missing_requests_hold_although_the_dubs_are_fine(
    tmp_path: Path, missing: tuple[Requests | None, Requests | None]
) -> None:
    rollout, stage = made(tmp_path, GOOD)
    stage.counted = missing
    rollout.start(contest(where="cluster"), "ada")
    assert rollout.run("ada").percent == 10
    stage.counted = counted(1000), counted(9000)
    assert rollout.run("ada").phase == "promoted"


def test_errors_of_users_send_it_back_although_the_dubs_are_fine(tmp_path: Path) -> None:
    rollout, stage = made(tmp_path, GOOD)
    stage.counted = counted(900, 100), counted(9000)
    rollout.start(contest(where="cluster"), "ada")
    assert rollout.run("ada").phase == "rolled_back"


def test_patience_ends(tmp_path: Path) -> None:
    rollout, _ = made(tmp_path, FEW)
    rollout.start(contest(policy=RolloutPolicy(rounds=500, most_looks=3)), "ada")
    assert [rollout.run("ada").phase for _ in range(3)] == ["running", "running", "rolled_back"]
    assert "after 3 looks" in rollout.log.entries()[-2].reasons[-1]


def test_back_at_any_time_also_after_the_promotion(tmp_path: Path) -> None:
    rollout, stage = made(tmp_path, GOOD)
    with pytest.raises(WrongUse, match="no_rollout"):
        rollout.rollback("bob", "why")
    rollout.start(contest(), "ada")
    assert rollout.rollback("bob", "complaints").phase == "rolled_back"
    with pytest.raises(WrongUse, match="no_rollout"):
        rollout.rollback("bob", "again")
    rollout.start(contest(), "ada")
    rollout.run("ada")
    assert stage.champion == 2
    assert rollout.rollback("bob", "complaints").phase == "rolled_back"
    assert stage.champion == 1
    back = [one for one in rollout.log.entries() if one.action == "rollback"]
    assert [(one.by, one.reasons) for one in back] == [("bob", ("complaints",))] * 2


def test_one_at_a_time(tmp_path: Path) -> None:
    rollout, _ = made(tmp_path, GOOD)
    rollout.start(contest(), "ada")
    assert rollout.start(contest(), "ada").number == 2, "the same again is found"
    with pytest.raises(WrongUse, match="rollout_going_on"):
        rollout.start(contest(candidate=3), "ada")


def test_a_candidate_that_cannot_be_started_touches_nobody(tmp_path: Path) -> None:
    rollout, stage = made(tmp_path, GOOD)
    stage.fails = OurFault("serving.not_loaded", "It does not load.")
    with pytest.raises(OurFault, match="not_loaded"):
        rollout.start(contest(), "ada")
    assert rollout.log.standing().phase == "rolled_back"
    assert stage.champion == 1


def test_a_promotion_that_fails_is_tried_again(tmp_path: Path) -> None:
    rollout, stage = made(tmp_path, GOOD)
    rollout.start(contest(), "ada")
    rollout.advance("ada")
    stage.fails_at = "promote"
    with pytest.raises(OurFault, match="unreachable"):
        rollout.advance("ada")
    now = rollout.log.standing()
    assert (now.phase, now.carried_out, stage.champion) == ("promoting", False, 1)
    assert rollout.advance("ada").phase == "promoted"
    assert stage.champion == 2


def test_a_promotion_that_is_refused_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout, stage = made(tmp_path, GOOD)

    def refused(one: object, by: str) -> None:
        raise BadInput("registry.stale_verdict", "The champion is another.")

    monkeypatch.setattr(stage, "promote", refused)
    rollout.start(contest(), "ada")
    assert rollout.run("ada").phase == "rolled_back"
    assert "stale_verdict" in rollout.log.entries()[-2].reasons[0]
    assert stage.champion == 1


@pytest.mark.parametrize("answers", [(GOOD,), (GOOD, BAD)], ids=["good", "bad"])
def test_killed_at_every_change_it_goes_on_to_the_same_end(tmp_path: Path, answers: tuple[list, ...]) -> None:  # type: ignore[type-arg]
    expected = "promoted" if len(answers) == 1 else "rolled_back"
    for kill in range(6):
        folder = tmp_path / str(kill)
        stage, changes = Stage(*answers), 0
        change = stage._change

        def counted(what: str, kill: int = kill, change: object = change) -> None:
            nonlocal changes
            changes += 1
            if changes == kill + 1:
                raise Killed
            change(what)  # type: ignore[operator]

        stage._change = counted  # type: ignore[method-assign, assignment]
        for _ in range(2):
            try:
                rollout = Rollout(RolloutLog(folder), stage)  # another process
                if not rollout.log.standing().going_on and rollout.log.standing().phase == "none":
                    rollout.start(contest(), "ada")
                now = rollout.run("ada") if rollout.log.standing().going_on else rollout.log.standing()
            except Killed:
                continue
            break
        assert (now.phase, now.carried_out) == (expected, True), kill
        assert stage.champion == (2 if expected == "promoted" else 1)
        assert [one.number for one in rollout.log.entries()] == list(range(1, now.number + 1))


def test_whoever_wants_it_back_stops_a_judgement(tmp_path: Path) -> None:
    rollout, _ = made(tmp_path, GOOD)
    rollout.start(contest(), "ada")
    rollout.log.ask_back()
    with pytest.raises(WrongUse, match="rollout_stopped"):
        rollout.advance("ada")
    assert rollout.rollback("bob", "now").phase == "rolled_back"
    assert not rollout.log.asked_back()


def test_only_one_process_decides(tmp_path: Path) -> None:
    rollout, _ = made(tmp_path, GOOD)
    with RolloutLog(tmp_path).held(), pytest.raises(WrongUse, match="rollout_busy"), rollout.log.held(0.0):
        pass


@given(cut=st.integers(1, 200))
@settings(deadline=None, max_examples=25)
def test_a_line_that_was_cut_off_was_never_a_decision(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    rollout, _ = made(tmp_path_factory.mktemp("log"), GOOD)
    rollout.start(contest(), "ada")
    rollout.advance("ada")
    content, entries = rollout.log.file.read_bytes(), rollout.log.entries()
    last = content.rstrip(b"\n").rfind(b"\n") + 1
    rollout.log.file.write_bytes(content[: max(last, len(content) - cut)])
    assert rollout.log.entries() == entries[:-1]
    assert standing_of(entries[:-1]).carried_out is False
    assert rollout.resume("ada").carried_out
    assert len(rollout.log.entries()) == len(entries)


def test_what_was_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    rollout, _ = made(tmp_path, BAD)
    rollout.start(contest(), "ada")
    rollout.run("ada")
    lines = rollout.log.file.read_text().splitlines()
    for number in range(len(lines) - 1):
        entry = json.loads(lines[number])
        entry["by"] = "nobody"
        rollout.log.file.write_text("\n".join([*lines[:number], json.dumps(entry), *lines[number + 1 :]]) + "\n")
        with pytest.raises(BadInput, match="rollout_damaged"):
            rollout.log.entries()
    rollout.log.file.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    with pytest.raises(BadInput, match="rollout_damaged"):
        rollout.log.entries()
