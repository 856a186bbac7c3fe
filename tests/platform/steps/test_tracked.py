"""The workspace knows which training a model, its package and its card came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubflow.atomic import write_json
from dubflow.judging.card.files import write_card
from dubflow.judging.card.media_list import FORMAT, MEDIA
from dubflow.platform.steps import tracked
from dubflow.platform.steps.tracked import keep_card, pass_on, remember_run, run_folder
from dubflow.registry.run_files import RunFiles
from dubflow.registry.run_link import RUN_FILE, RunFile
from judging.card.samples import sample_card

MODEL, PACKAGE, CARD = "a" * 64, "b" * 64, "c" * 64


def training(folder: Path) -> Path:
    folder.mkdir(parents=True)
    write_json(folder / RUN_FILE, RunFile(run_id="f00", experiment="e", store="s").model_dump())
    return folder


def test_a_card_finds_the_run_of_its_model_also_when_the_workspace_moved(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    folder = training(root / "train_dubber" / "1")
    remember_run(root, MODEL, folder)
    assert pass_on(root, MODEL, PACKAGE) == run_folder(root, MODEL)
    assert pass_on(root, PACKAGE, CARD) is not None
    moved = root.rename(tmp_path / "moved")
    found = run_folder(moved, CARD)
    assert found is not None
    assert found.samefile(moved / "train_dubber" / "1")
    (found / RUN_FILE).unlink()
    assert run_folder(moved, CARD) is None


def test_a_model_from_elsewhere_has_the_run_that_it_lies_in_or_none(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    folder = training(tmp_path / "elsewhere")
    assert pass_on(root, MODEL, PACKAGE) is None
    assert pass_on(root, MODEL, PACKAGE, tmp_path) is None
    assert run_folder(root, PACKAGE) is None
    assert pass_on(root, MODEL, PACKAGE, folder) == folder
    found = run_folder(root, PACKAGE)
    assert found is not None
    assert found.samefile(folder)
    remember_run(root, MODEL, tmp_path)  # nothing was tracked there
    assert run_folder(root, MODEL) is None


def test_a_card_is_kept_with_its_figures_and_the_first_dubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = write_card(sample_card(), tmp_path / "card")
    (card / "clips").mkdir()
    clips = {}
    for number in range(5):
        (card / "clips" / f"{number}.mp4").write_bytes(b"clip")
        clips[f"i{number}"] = {"clip": f"clips/{number}.mp4"}
    (card / "clips" / "0.mp4").unlink()
    (card / MEDIA).write_text(json.dumps({"format": FORMAT, "clips": clips}))
    asked: list[tuple[Path, RunFiles]] = []
    monkeypatch.setattr(tracked, "attach", lambda folder, what, note: asked.append((folder, what)) or True)
    assert keep_card(tmp_path, card, {"wer": 0.5}, "standard")
    ((folder, what),) = asked
    assert folder == tmp_path
    assert [(path.name, where) for path, where in what.files] == [
        ("card.json", "card"), ("rows.parquet", "card"),
        ("1.mp4", "samples"), ("2.mp4", "samples"), ("3.mp4", "samples"),
    ]  # fmt: skip
    assert what.numbers == {"card/wer": 0.5}
