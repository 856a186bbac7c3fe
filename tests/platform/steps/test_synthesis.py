"""Shards of pairs as artifacts, and the step that joins them; the verb runs in this process, on drawn clips."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dubflow.cli import main as program
from dubflow.errors import BadInput, DubflowError, restored
from dubflow.incontext.pairs.manifest import read_pairs
from dubflow.incontext.pairs.prompts.files import write_prompts
from dubflow.platform import synthesis
from dubflow.platform.steps import synthesis as step
from incontext.pairs.engine_room import NeverCut, engine, prompts


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Arguments of the step, but for its shard; verbs run here."""
    quick = {"augment": False, "steps": 1}
    monkeypatch.setattr(synthesis, "open_engine", lambda base, preset, **how: engine(**quick))
    monkeypatch.setenv("DUBFLOW_WORKSPACE", "")  # the step sets it; put back at the end

    def here(*words: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["dubflow", *words, "--no-page", "--json"])
        capsys.readouterr()
        code = program._run()
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        if "error" in said:
            raise restored(said["error"], code)
        return said

    monkeypatch.setattr(step, "run_verb", here)
    write_prompts(tmp_path / "prompts.jsonl", prompts(2))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({}))
    return {
        "workspace": str(tmp_path / "workspace"),
        "base": "tiny",
        "preset": str(tmp_path / "small.yaml"),
        "prompts": str(tmp_path / "prompts.jsonl"),
        "count": 0,
        "seed": 5,
    }


@pytest.mark.slow
def test_shards_are_joined_into_one_artifact(tmp_path: Path, asked: dict[str, Any]) -> None:
    shards = [str(tmp_path / name) for name in ("first", "second")]
    for number, out in enumerate(shards):
        made = step.make_pairs(out, **asked, shard=f"{number}/2", earlier=[])
        assert (made.numbers["done"], made.numbers["missing"]) == (1, 1)
        assert "pairs" not in made.numbers
        assert made.facts["world"] == "embedded"
        assert not (Path(out) / "pairs.json").exists()
    joined = step.make_pairs(str(tmp_path / "pairs"), **asked, shard="", earlier=shards)
    assert (joined.numbers["done"], joined.numbers["pairs"], joined.numbers["kept"]) == (0, 4, 4)
    assert joined.numbers["cost_seconds_per_kept"] > 0
    found = read_pairs(tmp_path / "pairs")
    assert len(found) == 4
    assert all(found.path(file).is_file() for row in found for file in row.files)
    again = step.make_pairs(str(tmp_path / "again"), **asked, shard="", earlier=shards)
    assert again.facts["digest"] == joined.facts["digest"]


def test_pairs_of_which_none_is_kept_are_no_artifact(
    tmp_path: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesis, "open_engine", lambda base, preset, **how: engine(splitter=NeverCut(), tries=1))
    with pytest.raises(DubflowError) as refused:
        step.make_pairs(str(tmp_path / "out"), **asked, shard="", earlier=[])
    assert isinstance(refused.value, BadInput)
    assert refused.value.code == "incontext.nothing_kept"
    assert refused.value.details["reasons"] == {"incontext.no_silence": 2}
    assert not (tmp_path / "out").exists()
