"""``dubflow gate`` answers with a verdict in a file, and with an exit code that says what kind of answer it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dubflow.cli import main as program
from dubflow.judging.card.files import write_card
from dubflow.judging.gate.signing import generate_key, read_verdict, verify
from judging.gate.systems import policy, system
from verbs import Answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cards, a policy and a key."""
    root = tmp_path_factory.mktemp("gate")
    write_card(system(wer=0.15, seed=2, name="candidate"), root / "better")
    write_card(system(wer=0.3, seed=1, name="in-use"), root / "worse")
    (root / "policy.yaml").write_text(yaml.safe_dump(policy().model_dump(mode="json")))
    generate_key(root / "key")
    return root


def words(folder: Path, challenger: str, champion: str, out: Path, *more: str) -> list[str]:
    policy_file = str(folder / "policy.yaml")
    cards = [
        "--challenger",
        str(folder / challenger),
        "--champion",
        champion if champion == "none" else str(folder / champion),
    ]
    return ["gate", *cards, "--policy", policy_file, "--out", str(out), *more]


def test_a_better_model_is_promoted_and_the_verdict_is_signed(folder: Path, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "verdict.json"
    said = answer(*words(folder, "better", "worse", out, "--key", str(folder / "key"), "--require-promote"))
    assert said["verdict"]["decision"] == "promote"
    verdict = verify(read_verdict(out), folder / "key.pub")
    assert verdict.model_dump(mode="json") == said["verdict"]
    assert verdict.digest == said["digest"]
    assert verdict.made_at is not None


def test_a_refusal_is_an_answer_unless_promotion_is_required(folder: Path, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "verdict.json"
    assert answer(*words(folder, "worse", "better", out))["verdict"]["decision"] == "refuse"
    assert answer(*words(folder, "worse", "better", out, "--require-promote"), exit_code=3)["signature"] is None
    assert answer(*words(folder, "better", "none", out))["verdict"]["champion"] is None


@pytest.mark.parametrize(
    ("change", "exit_code", "code"),
    [
        ({"--challenger": "nowhere"}, 3, "judging.no_card"),
        ({"--policy": "nonesuch"}, 2, "judging.unknown_policy"),
        ({"--key": "nowhere"}, 3, "judging.bad_key"),
    ],
)
def test_what_cannot_be_judged_is_an_error_and_writes_nothing(
    folder: Path, tmp_path: Path, answer: Answer, change: dict[str, Any], exit_code: int, code: str
) -> None:
    out = tmp_path / "verdict.json"
    given = words(folder, "better", "worse", out, "--key", str(folder / "key"))
    for option, value in change.items():
        given[given.index(option) + 1] = value
    assert answer(*given, exit_code=exit_code)["error"]["code"] == code
    assert not out.exists()


def test_people_read_the_reasons(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "verdict.json"
    monkeypatch.setattr("sys.argv", ["dubflow", *words(folder, "worse", "better", out)])
    assert program._run() == 0
    said = capsys.readouterr().out
    assert "Refuse in-use against candidate (embedded world)" in said
    assert "No gain worth a release" in said
    assert json.loads(out.read_text())["signature"] is None
