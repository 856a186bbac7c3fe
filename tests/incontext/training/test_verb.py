"""``dubflow train lora`` and the pipelines' step over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dubflow.cli.main import app
from dubflow.errors import WrongUse
from incontext.training.room import Room, weights


def answer(*words: str | Path) -> dict[str, Any]:
    """What the verb says to a machine."""
    told = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert told.exit_code == 0
    found: dict[str, Any] = json.loads(told.stdout)
    return found


@pytest.mark.slow
def test_the_verb_plans_trains_and_finds_it_finished(room: Room, tmp_path: Path) -> None:
    out, preset = tmp_path / "run", room.preset(tmp_path, steps=2)
    words = ["train", "lora", "--data", room.pairs, "--base", "tiny", "--out", out, "--preset", preset]
    plan = answer(*words, "--dry-run")
    assert (plan["pairs"], plan["encoded"], plan["steps"]) == (5, False, 2)
    assert not out.exists()
    report = answer(*words, "--track", "none")
    assert (report["pairs"], report["held"], report["unmasked"], report["world"]) == (4, 1, 3, "embedded")
    assert Path(report["adapter"]).is_file()
    assert answer(*words, "--track", "none")["found"]
    plan = answer(*words, "--dry-run")
    assert plan["encoded"]
    assert {line[0] for line in plan["groups"]} >= {"attn1", "audio_ff", "video_to_audio_attn"}
    with pytest.raises(WrongUse) as refused:
        answer(*words, "--track", "none", "--seed", "7")
    assert refused.value.code == "training.other_run"


@pytest.mark.slow
def test_the_step_leaves_the_adapter_as_its_artifact(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dubflow.platform.steps.lora import train_adapter

    monkeypatch.setenv("DUBFLOW_MLFLOW_URI", f"sqlite:///{tmp_path / 'runs.db'}")
    preset = str(room.preset(tmp_path, steps=2))
    made = train_adapter(
        str(tmp_path / "model"), str(tmp_path / "workspace"), str(room.pairs), "tiny", preset, "", 0, -1, 1, 1
    )
    assert made.facts["stage"] == "lora"
    assert made.facts["world"] == "embedded"
    assert made.facts["digest"]
    assert made.numbers["pairs"] == 4
    assert made.numbers["unmasked"] == 3
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"adapter.safetensors", "card.md", "lineage.json"}
    assert any(value.any() for name, value in weights(tmp_path).items() if "lora_B" in name)
