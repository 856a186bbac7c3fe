"""The tool that makes the judge: every step of it, with few voices and hardly any training."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dubflow.judging.phone_judge.facts import PhoneNetworkSettings, read_phone_facts
from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
from dubflow.judging.phone_judge.training import PhoneTraining

FEW = PhoneTraining(network=PhoneNetworkSettings(width=16, blocks=1, kernel=3), steps=4, check=2, clips=4)
PEOPLE = ["--identities", "6", "--clips", "6", "--languages", "en,it", "--seed", "2"]


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    yield importlib.import_module("judges")
    for name in ("judges", "judge_phones", "judge_sync"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_the_judge_is_made_measured_and_packed(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = ["talkers", "render", "--out", str(tmp_path / "voices"), *PEOPLE, "--preset", "starter", "--voices-only"]
    subprocess.run([sys.executable, "-m", "dubflow", *render], check=True, capture_output=True)
    monkeypatch.setattr(sys.modules["judge_phones"], "STAGES", (FEW, FEW.model_copy(update={"steps": 2})))
    table = tmp_path / "MANIFEST.tsv"
    clip = next((tmp_path / "voices").rglob("*_it.wav"))
    table.write_text(f"file\tlanguage\ttranscript\n{clip.relative_to(tmp_path)}\tit-IT\tBuongiorno a tutti.\n", "utf-8")
    words = ["phones", str(tmp_path / "out"), "--voices", str(tmp_path / "voices"), "--into", str(tmp_path / "judge")]
    assert tool.main([*words, "--readings", str(table)]) == 0
    facts = read_phone_facts(tmp_path / "judge")
    assert facts.languages == ("en", "it")
    assert 0 < len(facts.voices) < 6  # the test speakers' are not among them
    assert PhoneRecogniser.open(tmp_path / "judge").facts == facts
    card = (tmp_path / "judge" / "card.md").read_text("utf-8")
    assert "embedded world" in card
    assert f"| {tmp_path.name} | it | 1 |" in card
    lineage = json.loads((tmp_path / "judge" / "lineage.json").read_text("utf-8"))
    assert set(lineage["measured"]["per"]) == {"en", "it"}
    assert set(lineage["measured"]["per"]["en"]) >= {"clean", "noise 0 dB", "codec", "wrong text"}
    weights = (tmp_path / "judge" / "model.safetensors").read_bytes()
    assert tool.main(words) == 0  # which trains nothing again
    assert (tmp_path / "judge" / "model.safetensors").read_bytes() == weights
