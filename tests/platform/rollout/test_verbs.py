"""``dubflow rollout``: what it answers where there is nothing to roll out, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dubflow.cli import main as program
from dubflow.platform.rollout.local import FOLDER
from dubflow.platform.rollout.machine import Rollout
from dubflow.platform.rollout.records import RolloutLog
from dubflow.serving.options import ServeOptions, write_options
from rollouts import Stage, contest, pairs


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    monkeypatch.setenv("DUBFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("DUBFLOW_GATEWAY_STATE", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    def run(*words: str, as_json: bool = True) -> tuple[int, Any]:
        monkeypatch.setattr("sys.argv", ["dubflow", "rollout", *words, *(["--json"] if as_json else [])])
        capsys.readouterr()
        code = program._run()
        said = capsys.readouterr().out
        return code, json.loads(said) if as_json else said

    return run


def test_nothing_yet(asked: Any) -> None:
    code, answer = asked("status")
    assert (code, answer["phase"], answer["decisions"]) == (0, "none", [])
    assert asked("rollback", "--dry-run")[1] == {"dry_run": True, "phase": "none", "candidate": None}
    assert "rollout start" in asked("status", as_json=False)[1]


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("promote",), 3, "serving.no_options"),
        (("start", "--override", "why"), 2, "cli.needs_name"),
        (("status", "--where", "cluster"), 2, "platform.no_model_named"),
        (("promote", "--where", "cluster", "--name", "dubber"), 2, "platform.no_cluster_address"),
    ],
)
def test_what_is_refused(asked: Any, words: tuple[str, ...], code: int, error: str) -> None:
    found, answer = asked(*words)
    assert (found, answer["error"]["code"]) == (code, error)


@pytest.mark.slow
def test_a_server_of_no_registry_and_of_another_model(asked: Any, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    (tmp_path / "serve").mkdir()
    write_options(tmp_path / "serve", ServeOptions(model="starter"))
    assert asked("promote")[1]["error"]["code"] == "platform.no_model_followed"
    write_options(tmp_path / "serve", ServeOptions(model=None, name="dubber", registry=f"sqlite:///{tmp_path}/m.db"))
    assert asked("promote", "--name", "other")[1]["error"]["code"] == "platform.other_model"


def test_decisions_are_shown_with_their_reasons(asked: Any, tmp_path: Path) -> None:
    rollout = Rollout(RolloutLog(tmp_path / "serve" / FOLDER), Stage(pairs(24, worse=0.5)))
    rollout.start(contest(), "ada")
    rollout.run("ada")
    _, answer = asked("status")
    assert (answer["phase"], answer["contest"]["candidate"]) == ("rolled_back", 2)
    assert [one["action"] for one in answer["decisions"]] == ["start", "done", "rollback", "done"]
    said = asked("status", as_json=False)[1]
    assert "Version 2 of dubber against 1: rolled back, 0 %" in said
    assert "worse by more than 10 %" in " ".join(said.split())
