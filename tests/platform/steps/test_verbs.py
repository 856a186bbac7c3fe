"""A step's verb: its answer, its typed errors, repetition of ours and none of the user's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.platform.steps.refusals import recall_refusal
from dubflow.platform.steps.verbs import begin, last_error, run_verb


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("DUBFLOW_RUN", str(folder))
    return folder


def program(folder: Path, text: str) -> list[str]:
    """A launcher that runs other code in the place of the program."""
    path = folder / "program.py"
    path.write_text(text)
    return [sys.executable, str(path)]


COUNTED = """
import json, sys
from pathlib import Path
tries = Path(__file__).with_suffix(".tries")
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
number = len(tries.read_text())
"""


def tries(folder: Path) -> int:
    return len((folder / "program.tries").read_text())


def test_the_answer_of_a_verb_and_what_it_says(capfd: pytest.CaptureFixture[str]) -> None:
    answer = run_verb("run", "list")
    assert {one["name"] for one in answer["pipelines"]} >= {"train-dubber", "nightly"}
    assert "» dubflow run list" in capfd.readouterr().err


def test_what_a_verb_raises_comes_back_typed(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as absent:
        run_verb("probe", str(tmp_path / "absent.mp4"))
    assert absent.value.code == "media.missing"
    with pytest.raises(WrongUse) as unknown:
        run_verb("probe", "--no-such-option")
    assert unknown.value.code == "cli.wrong_use"
    left = last_error(run)
    assert left is not None
    assert (left.code, type(left)) == ("cli.wrong_use", WrongUse)


def test_an_error_of_the_users_is_refused_again_without_work_in_the_same_run(run: Path, tmp_path: Path) -> None:
    error = {"error": {"code": "media.missing", "headline": "h", "hint": "", "users_doing": True}}
    words = program(tmp_path, COUNTED + f"print(json.dumps({error!r})); sys.exit(3)")
    for _ in range(3):
        with pytest.raises(BadInput, match=r"media\.missing"):
            run_verb("probe", "x", launcher=words, sleep=pytest.fail)
    assert tries(tmp_path) == 1
    assert recall_refusal(("probe", "x")) is not None
    assert recall_refusal(("probe", "y")) is None


def test_outside_of_a_run_nothing_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUBFLOW_RUN", raising=False)
    error = {"error": {"code": "media.missing", "headline": "h", "hint": "", "users_doing": True}}
    words = program(tmp_path, COUNTED + f"print(json.dumps({error!r})); sys.exit(3)")
    for _ in range(2):
        with pytest.raises(BadInput):
            run_verb("probe", "x", launcher=words)
    assert tries(tmp_path) == 2


def test_pods_of_one_workflow_share_what_was_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUBFLOW_RUN", raising=False)
    begin(str(tmp_path / "workspace"))
    error = {"error": {"code": "media.missing", "headline": "h", "hint": "", "users_doing": True}}
    words = program(tmp_path, COUNTED + f"print(json.dumps({error!r})); sys.exit(3)")
    for pod in ("train-abc12-system-container-impl-1", "train-abc12-system-container-impl-2"):
        monkeypatch.setenv("KFP_POD_NAME", pod)
        with pytest.raises(BadInput):
            run_verb("probe", "x", launcher=words)
    assert tries(tmp_path) == 1
    monkeypatch.setenv("KFP_POD_NAME", "train-def34-system-container-impl-1")
    with pytest.raises(BadInput):
        run_verb("probe", "x", launcher=words)
    assert tries(tmp_path) == 2
    monkeypatch.delenv("DUBFLOW_WORKSPACE")


def test_an_error_of_ours_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    words = program(tmp_path, COUNTED + "print(json.dumps({'done': number})) if number == 3 else sys.exit(4)")
    pauses: list[float] = []
    assert run_verb("x", launcher=words, sleep=pauses.append) == {"done": 3}
    assert pauses == [5.0, 20.0]


def test_it_is_not_tried_for_ever(run: Path, tmp_path: Path) -> None:
    words = program(tmp_path, COUNTED + "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(OurFault) as error:
        run_verb("x", launcher=words, sleep=lambda seconds: None)
    assert (error.value.code, tries(tmp_path)) == ("platform.step_ended", 3)
    assert "signal 9" in error.value.headline
    left = last_error(run)
    assert left is not None
    assert left.code == "platform.step_ended"


def test_an_answer_with_failures_counts_where_that_is_fine(tmp_path: Path) -> None:
    words = program(tmp_path, "import json, sys; print(json.dumps({'failed': 1})); sys.exit(3)")
    assert run_verb("prepare", launcher=words, fine=(0, 3)) == {"failed": 1}
    with pytest.raises(OurFault):
        run_verb("prepare", launcher=words, sleep=lambda seconds: None)


def test_noise_around_the_answer_is_no_answer(tmp_path: Path) -> None:
    answer = json.dumps({"a": 1})
    words = program(tmp_path, f"print('a library says hello'); print('''{answer}''')")
    assert run_verb("x", launcher=words) == {"a": 1}


def test_a_step_needs_a_workspace() -> None:
    with pytest.raises(WrongUse, match="no_workspace"):
        begin("")


def told(code: str, *, users: bool, exit_code: int) -> str:
    error = {"code": code, "headline": "h", "hint": "", "users_doing": users, "exit_code": exit_code}
    return json.dumps({"error": error}, indent=2)


LOST, WRONG, ODD = told("cli.unexpected", users=False, exit_code=4), told("media.missing", users=True, exit_code=3), "{"


@pytest.mark.parametrize("before", ["", LOST, LOST + "\n" + LOST, ODD + LOST])
def test_an_answer_counts_whatever_was_told_before_all_were_started_again(tmp_path: Path, before: str) -> None:
    words = program(tmp_path, f"print({before!r}); print({json.dumps({'done': {'steps': 3}}, indent=2)!r})")
    assert run_verb("train", launcher=words) == {"done": {"steps": 3}}


@pytest.mark.parametrize("order", [(LOST, WRONG), (WRONG, LOST), (LOST, LOST, WRONG, WRONG)])
def test_of_several_processes_errors_the_users_counts_whatever_the_launcher_ends_with(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    words = program(tmp_path, COUNTED + "\n".join(f"print({each!r})" for each in order) + "\nsys.exit(1)")
    with pytest.raises(BadInput, match=r"media\.missing"):
        run_verb("train", launcher=words, sleep=pytest.fail)
    assert tries(tmp_path) == 1
