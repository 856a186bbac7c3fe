"""A run that is killed, wherever, and started again ends with the weights and the log of one that was not."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from diflow.training.room import Room, Running, equal, weights
from dubflow.atomic import PARTIAL
from dubflow.diflow.training.run import train
from dubflow.tracking import read_metrics
from dubflow.training.checkpoints import checkpoints, step_of

pytestmark = pytest.mark.slow

DEATHS = (("batch", 2), ("write", 1), ("batch", 8), ("write", 1))
"""Before the first checkpoint; in the middle of writing that; after one or two; in the middle of writing one more."""


@pytest.fixture(scope="module")
def teacher(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(room.task(steps=2), tmp_path_factory.mktemp("teacher")).model


@pytest.mark.parametrize("stage", ["tts", "dubber"])
@pytest.mark.parametrize("changes", [{}, {"ema": 0.8, "accumulate": 2}], ids=["plain", "averaged, accumulating"])
def test_killed_at_any_step_it_goes_on_to_the_same_weights(
    room: Room, teacher: Path, tmp_path: Path, stage: str, changes: dict[str, float]
) -> None:
    taught = teacher if stage == "dubber" else None
    whole = train(room.task(stage, teacher=taught, **changes), tmp_path / "whole")
    words = room.words(stage, tmp_path / "killed", room.preset(tmp_path, **changes), taught)
    told, folder = tmp_path / "told.txt", tmp_path / "killed" / "checkpoints"
    for death in DEATHS:
        assert Running(words, told, death).end() == -signal.SIGKILL
        if death[0] == "write":
            assert list(folder.glob(f"*{PARTIAL}*"))
    assert not (tmp_path / "killed" / "model").exists()
    assert Running(words, told).end() == 0
    assert equal(weights(tmp_path / "killed" / "model"), weights(whole.model))
    assert "Going on after step" in told.read_text()
    assert [step_of(path) for path in checkpoints(folder)] == [9, 12]
    assert not list(folder.glob(f"*{PARTIAL}*"))
    one, other = (read_metrics(tmp_path / name / "logs" / "metrics.jsonl") for name in ("whole", "killed"))
    assert one == other
    assert {path.suffix for path in (tmp_path / "killed").rglob("*") if path.is_file()} <= {
        ".json", ".jsonl", ".safetensors", ".md", ".yaml", ".csv", "",
    }  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_says_so_and_goes_on_later(room: Room, tmp_path: Path, number: signal.Signals) -> None:
    words = room.words("tts", tmp_path / "run", room.preset(tmp_path))
    first = Running(words, tmp_path / "told.txt")
    stopped = first.send_when(lambda: bool(checkpoints(tmp_path / "run" / "checkpoints")), number)
    assert stopped == 128 + number
    assert "Stopped. Finished items are kept; run the same command to go on." in first.says()
    assert "Traceback" not in first.says()
    assert Running(words, tmp_path / "told.txt").end() == 0
    assert equal(weights(tmp_path / "run" / "model"), weights(train(room.task(), tmp_path / "whole").model))
