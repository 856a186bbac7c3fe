"""``dubflow evaluate``, as typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dubbing.room import Room, shared_room
from dubflow.cli import main as program
from dubflow.cli.score_table import print_card
from dubflow.judging.card.files import read_card
from dubflow.judging.card.rows import ScoreCard
from evaluations import small_benchmark
from judging.card.samples import sample_card
from verbs import Answer


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


@pytest.fixture(scope="module")
def asked(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_benchmark(room, tmp_path_factory.mktemp("asked"))


@pytest.fixture(scope="module")
def theirs(room: Room, asked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's clips: two of the six items, one of them broken."""
    folder = tmp_path_factory.mktemp("theirs") / "MuseTalk"
    (folder / "a").mkdir(parents=True)
    shutil.copyfile(room.clip(0), folder / "a" / "0.mp4")
    (folder / "a" / "1.mp4").write_bytes(room.clip(1).read_bytes()[:600])
    return folder


FEW = ("--only", "time,success,fid", "--workers", "1")


@pytest.mark.slow
def test_a_model_on_a_benchmark(room: Room, asked: Path, answer: Answer, tmp_path: Path) -> None:
    words = ["evaluate", room.model, "--benchmark", asked, "--out", tmp_path / "card", "--nfe", "1", *FEW]
    document = answer(*words)
    assert (document["dubbed"], document["found"], document["success_rate"]) == (3, 0, 0.5)
    assert document["digest"] == read_card(tmp_path / "card").digest
    assert {one["clip"] for one in document["failures"]} == {"c/language", "c/silent", "c/long"}
    assert [one["name"] for one in document["metrics"]] == [
        "success_rate", "duration_error", "int_corr", "speech_start_error", "speech_end_error",
    ]  # fmt: skip
    assert {one["metric"] for one in document["aggregates"] if one["by"] == "all"} >= {"success_rate", "int_corr"}
    assert list(document["gaps"]) == ["fid"]
    again = answer(*words, "--figures", tmp_path / "figures")
    assert (again["dubbed"], again["found"], again["digest"]) == (0, 3, document["digest"])
    figures = json.loads((tmp_path / "figures" / "metrics.json").read_text())
    assert figures["embedded"]["success_rate"]["value"] == 0.5


def test_clips_of_others_by_a_table(room: Room, theirs: Path, answer: Answer, tmp_path: Path) -> None:
    shutil.copyfile(room.clip(0), tmp_path / "true.mp4")
    table = tmp_path / "references.csv"
    table.write_text("id,reference,transcript,language,speaker\na/0,true.mp4,red now,en,anna\na/1,,set blue,en,bert\n")
    words = ["evaluate", "--clips", theirs, "--references", table, "--out", tmp_path / "card", *FEW]
    document = answer(*words)
    assert (document["system"], document["benchmark"], document["world"]) == ("MuseTalk", "references", "real")
    assert document["failures"][0]["clip"] == "a/1"
    assert "media." in document["failures"][0]["reason"]
    told = {one["metric"]: one for one in document["aggregates"] if one["population"] == "successes"}
    assert told["int_corr"]["value"] == pytest.approx(1.0)
    named = answer(*words, "--system", "Muse <2>", "--world", "embedded", "--out", tmp_path / "other")
    assert (named["system"], named["world"]) == ("Muse <2>", "embedded")
    assert named["protocol"]["id"] != document["protocol"]["id"]


def test_clips_alone_need_no_reference(theirs: Path, answer: Answer, tmp_path: Path) -> None:
    table = tmp_path / "names.jsonl"
    table.write_text('{"id": "a/0"}\n')
    words = ["--clips", theirs, "--references", table, "--out", tmp_path / "card", "--workers", "1"]
    document = answer("evaluate", *words, "--only", "time,success,mouth_correlation")
    there = {one["metric"] for one in document["aggregates"] if one["by"] == "all"}
    assert there == {"success_rate", "mouth_correlation"}
    assert set(document["gaps"]) == {"duration_error", "int_corr", "speech_start_error", "speech_end_error"}
    assert "no true recording" in document["gaps"]["int_corr"]


def test_a_dry_run_writes_nothing(theirs: Path, asked: Path, answer: Answer, tmp_path: Path) -> None:
    words = ["evaluate", "--clips", theirs, "--benchmark", asked, "--out", tmp_path / "card", *FEW, "--dry-run"]
    document = answer(*words)
    assert (document["items"], document["clips"], document["world"]) == (6, 2, "embedded")
    assert document["judges"] == {
        "code": ["success_rate", "duration_error", "int_corr", "speech_start_error", "speech_end_error"]
    }
    assert list(document["gaps"]) == ["fid"]
    assert not (tmp_path / "card").exists()


def test_a_tier_that_is_not_rendered_is_not_rendered_by_a_dry_run(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUBFLOW_HOME", str(tmp_path / "home"))
    document = answer("evaluate", "starter", "--benchmark", "standard", "--out", tmp_path / "card", "--dry-run")
    assert document == {"benchmark": "standard", "rendered": False}
    assert not (tmp_path / "home").exists()


Show = Callable[[ScoreCard, int], list[str]]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Show:
    """What a terminal of so many columns shows of a card."""

    def show(card: ScoreCard, width: int) -> list[str]:
        print_card(Console(width=width, force_terminal=False), card)
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return show


def test_failures_come_first_then_figures_then_gaps(shown: Show) -> None:
    lines = shown(sample_card(), 140)
    order = ["ours on sample (embedded world)", "2 of 4 clips failed; they count at their worst:", "Not judged:"]
    assert [line for line in lines if line in order] == order
    assert lines[2:4] == ["  b/1 (failed): the clip has no sound", "  b/2 (missing): no file"]
    (wer,) = [line.split() for line in lines if line.startswith("  wer")]
    assert wer == ["wer", "↓", "0.60", "[0.25,", "1.00]", "4", "recogniser"]
    assert any(line.split() == ["fid", "↓", "12.5", "2", "inception"] for line in lines)
    assert "  dnsmos: its package is not installed" in lines
    assert "Seconds of work a minute of dubbed clip: 20" in lines


@pytest.mark.parametrize("width", [80, 140])
def test_no_figure_is_cut_in_a_narrow_terminal(shown: Show, width: int) -> None:
    lines = shown(sample_card(), width)
    assert max(map(len, lines)) <= width
    for said in ("0.60 [0.25, 1.00]", "12.5", "embedded world", "b/1 (failed): the clip has no sound"):
        assert any(said in line for line in lines), said


def test_a_table_for_people(
    theirs: Path, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(theirs, tmp_path / "MuseTalk")
    (tmp_path / "MuseTalk" / "a" / "take 2.wav").write_bytes(b"")
    typed = ["evaluate", "--clips", tmp_path / "MuseTalk", "--benchmark", asked, "--out", tmp_path / "card", *FEW]
    monkeypatch.setattr("sys.argv", ["dubflow", *map(str, typed)])
    assert program._run() == 0
    told = capsys.readouterr()
    assert "MuseTalk on small (embedded world)" in told.out
    assert "5 of 6 clips failed" in told.out
    assert "success_rate ↑" in told.out
    assert "6/6 clips" in told.err
    assert "no item is called like them: a/take 2.wav" in told.err


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        (["--benchmark", "b.json"], 2, "cli.wrong_use"),
        (["starter", "--clips", "c", "--benchmark", "b.json"], 2, "cli.wrong_use"),
        (["starter"], 2, "cli.wrong_use"),
        (["starter", "--benchmark", "b.json", "--references", "t.csv"], 2, "cli.wrong_use"),
        (["starter", "--benchmark", "b.json", "--world", "real"], 2, "cli.wrong_use"),
        (["--clips", "c", "--references", "t.csv", "--world", "moon"], 2, "cli.wrong_use"),
        (["starter", "--benchmark", "b.json", "--no-face", "pray"], 2, "cli.wrong_use"),
        (["starter", "--benchmark", "b.json"], 3, "judging.no_benchmark"),
        (["--clips", "c", "--references", "t.csv"], 3, "judging.no_references"),
        (["starter", "--benchmark", "b.json", "--judges", "nobody"], 2, "config.unknown_preset"),
    ],
)
def test_what_is_wrong_is_said(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], exit_code: int, code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    document: dict[str, Any] = answer("evaluate", *words, "--out", "card", exit_code=exit_code)
    assert document["error"]["code"] == code
    assert not (tmp_path / "card").exists()


def test_what_is_wrong_with_material_is_said(theirs: Path, asked: Path, answer: Answer, tmp_path: Path) -> None:
    words = ["evaluate", "--benchmark", asked, "--out", tmp_path / "card"]
    (tmp_path / "empty").mkdir()
    for more, exit_code, code in (
        (["nowhere"], 3, "diflow.not_a_model"),
        (["nowhere", "--dry-run"], 3, "diflow.not_a_model"),
        (["starter-tts"], 2, "diflow.wrong_stage"),
        (["--clips", tmp_path / "empty"], 3, "platform.no_clip_of_any_item"),
        (["--clips", tmp_path / "nowhere"], 3, "judging.no_clips"),
        (["--clips", theirs, "--only", "beauty"], 2, "judging.unknown_metric"),
        (["starter", "--only", "fid"], 3, "platform.no_judge"),
    ):
        assert answer(*words, *more, exit_code=exit_code)["error"]["code"] == code
    assert not (tmp_path / "card").exists()
