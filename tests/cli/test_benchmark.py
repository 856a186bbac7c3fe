"""``dubflow benchmark``: build, from, show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from dubflow.judging.card.items import read_benchmark
from verbs import Answer

TINY = {"size": 64, "people": 2, "languages": ["en", "fr"], "standard_items": 4, "challenging_items": 5}


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preset") / "small.yaml"
    path.write_text(yaml.safe_dump({"benchmark": TINY}), "utf-8")
    return path


@pytest.mark.slow
def test_a_tier_is_built_found_and_shown(answer: Answer, preset: Path, tmp_path: Path) -> None:
    out = tmp_path / "standard"
    words = ("benchmark", "build", "standard", "--out", out, "--preset", preset, "--workers", "1")
    planned = answer(*words, "--dry-run")
    assert (planned["items"], planned["kinds"]) == (4, {"plain": 4})
    assert not out.exists()
    built = answer(*words)
    assert (built["rendered"], built["items"], built["tasks"]) == (4, 4, {"own_text": 2, "translation": 2})
    assert built["world"] == "embedded"
    found = answer(*words)
    assert (found["rendered"], found["digest"]) == (0, built["digest"])
    shown = answer("benchmark", "show", out)
    assert shown == answer("benchmark", "show", out / "benchmark.json")
    assert shown["digest"] == built["digest"] == read_benchmark(Path(built["out"])).digest
    assert shown["difficulty"] == {"standard": 4}
    other = answer(*words, "--seed", "1", exit_code=2)
    assert other["error"]["code"] == "platform.other_benchmark"


def test_options_change_what_the_preset_says(answer: Answer, preset: Path, tmp_path: Path) -> None:
    words = ("benchmark", "build", "challenging", "--out", tmp_path / "x", "--preset", preset, "--dry-run")
    assert sum(answer(*words)["kinds"].values()) == 5
    assert answer(*words, "--items", "10")["kinds"]["non_human"] == 2


def test_wrong_tiers_and_settings_are_refused(answer: Answer, tmp_path: Path) -> None:
    assert answer("benchmark", "build", "hard", exit_code=2)["error"]["code"] == "cli.wrong_use"
    few = answer("benchmark", "build", "challenging", "--items", "2", exit_code=3)
    assert few["error"]["code"] == "config.bad_preset"
    assert answer("benchmark", "show", tmp_path, exit_code=3)["error"]["code"] == "judging.no_benchmark"


def test_a_corpus_becomes_a_benchmark(answer: Answer, corpus: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (corpus / "clips.jsonl").read_text("utf-8").splitlines()]
    texts = tmp_path / "texts.tsv"
    target = "fr" if rows[0]["language"] == "de" else "de"
    texts.write_text(f"clip\tlanguage\ttext\n{rows[0]['id']}\t{target}\tAlors?\n", "utf-8")
    out = corpus.parent / "from_corpus.json"
    words = ("benchmark", "from", corpus, "--out", out, "--texts", texts, "--name", "talkers")
    tried = answer(*words, "--dry-run")
    assert tried["out"] is None
    assert not out.exists()
    made = answer(*words)
    benchmark = read_benchmark(out)
    assert made["digest"] == tried["digest"] == benchmark.digest
    assert made["name"] == "talkers"
    assert made["tasks"]["translation"] == 1
    assert made["tasks"]["own_text"] + len(made["coverage"]["problems"]) == len(rows)
    assert all((corpus.parent / file.path).is_file() for item in benchmark.items for file in item.files.values())
    oracle = answer(*words, "--setting", "1.0", "--task", "own_text", "--items", "1", "--dry-run")
    assert oracle["items"] == 1
    only = answer(*words, "--speaker", rows[0]["speaker"], "--dry-run")
    assert set(only["speaker"]) == {rows[0]["speaker"]}


def test_what_cannot_be_made_is_said(answer: Answer, corpus: Path, tmp_path: Path) -> None:
    wrong = answer("benchmark", "from", corpus, "--setting", "3.0", exit_code=2)
    assert wrong["error"]["code"] == "cli.wrong_use"
    elsewhere = answer("benchmark", "from", corpus, "--out", tmp_path / "b.json", exit_code=2)
    assert elsewhere["error"]["code"] == "judging.benchmark_elsewhere"
    nothing = answer("benchmark", "from", corpus, "--speaker", "nobody", exit_code=3)
    assert nothing["error"]["code"] == "judging.no_items"
    empty = answer("benchmark", "from", tmp_path, exit_code=3)
    assert empty["error"]["code"] == "corpora.no_manifest"


def test_people_read_counts_and_what_is_missing(
    corpus: Path, preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dubflow.cli import main as program

    names = tmp_path / "names.txt"
    names.write_text("s1/none\n", "utf-8")
    ids = [json.loads(line)["id"] for line in (corpus / "clips.jsonl").read_text("utf-8").splitlines()]
    names.write_text("\n".join([*ids, "s1/none"]), "utf-8")
    monkeypatch.setattr(
        "sys.argv",
        ["dubflow", "benchmark", "from", str(corpus), "--names", str(names), "--setting", "1.0", "--dry-run"],
    )
    capsys.readouterr()
    assert program._run() == 0
    said = capsys.readouterr().out
    assert f"{len(ids)} items (embedded world)" in said
    assert "judging.not_in_corpus" in said
    assert "s1/none" in said
    assert "digest: " in said
    assert "Nothing was written" in said
