"""``dubflow tables`` prints score cards as a paper's table, for people, for documents and for machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.cli import main as program
from dubflow.judging.card.files import write_card
from judging.test_tables import card
from verbs import Answer


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cards")
    write_card(card("ours"), root / "ours")
    write_card(card("ours", "hard"), root / "ours-hard")
    write_card(card("theirs", failed=1), root / "theirs")
    write_card(card("other", version="2"), root / "other")
    return root


def test_a_table_for_machines(cards: Path, answer: Answer) -> None:
    said = answer("tables", "justdubit-1", cards / "ours", cards / "theirs")
    assert [row["label"] for row in said["rows"]] == ["ours", "theirs", "theirs, failures counted"]
    assert said["rows"][1]["cells"][0] == {
        "text": "75.0", "value": 75.0, "low": None, "high": None, "clips": 4, "reason": "",
    }  # fmt: skip


def test_settings_are_named_before_the_folder(cards: Path, answer: Answer) -> None:
    said = answer("tables", "diflowdubber-1", f"1.0={cards / 'ours-hard'}", f"2.0={cards / 'ours'}")
    assert len(said["rows"]) == 1
    assert sorted(set(said["settings"])) == ["1.0", "2.0"]


def test_a_table_for_documents_is_markdown(
    cards: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tables", "justdubit-2", str(cards / "ours"), str(cards / "ours-hard"), "--markdown"]
    monkeypatch.setattr("sys.argv", ["dubflow", *words])
    assert program._run() == 0
    said = capsys.readouterr().out
    assert said.startswith("**In the shape of JUST-DUB-IT, Table 2: sound. Embedded world; benchmark standard, hard.")
    assert "| ours | 0.2500 | 0.8000 | 0.700 | –1 |" in said
    assert "- –1: wer: " in said


def test_people_read_figures_and_why_some_are_missing(
    cards: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["dubflow", "tables", "diflowdubber-5", str(cards / "ours")])
    assert program._run() == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Emo-SIM ↑" in said
    assert "0.300" in said
    assert "–1: emo_sim: " in said


def test_cards_of_other_protocols_are_refused_unless_asked_for(cards: Path, answer: Answer) -> None:
    both = (cards / "ours", cards / "other")
    said = answer("tables", "justdubit-1", *both, exit_code=3)
    assert said["error"]["code"] == "judging.mixed_protocols"
    notes = answer("tables", "justdubit-1", *both, "--mixed")["notes"]
    assert any(note.startswith("Not to be compared") for note in notes)
    assert answer("tables", "justdubit-9", *both, exit_code=2)["error"]["code"] == "judging.unknown_table"
    assert answer("tables", "justdubit-1", cards / "nowhere", exit_code=3)["error"]["code"] == "judging.no_card"
