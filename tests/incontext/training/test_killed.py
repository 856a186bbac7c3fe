"""A run that is killed, wherever, and started again ends with the weights and the log of one that was not; several
processes do what one does that takes as many pairs a step."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dubflow.atomic import PARTIAL
from dubflow.incontext.training.latents import read_index
from dubflow.incontext.training.run import train_lora
from dubflow.tracking import read_metrics
from dubflow.training.checkpoints import checkpoint_path
from incontext.training.processes import finished, on_two
from incontext.training.room import Room, equal, greatest_difference, weights

pytestmark = pytest.mark.slow

DEATHS = (("batch", 1), ("write", 1), ("batch", 5), ("write", 2))
ROUNDING = 2e-3
"""Of a weight after eight steps of 1e-2: AdamW makes much of the order in which small gradients are summed."""


def test_killed_at_any_step_it_goes_on_to_the_same_weights(room: Room, tmp_path: Path) -> None:
    changes = {"first_frame_p": 0.5, "accumulate": 2, "batch_items": 2}
    train_lora(room.task(**changes), tmp_path / "whole")
    out, told = tmp_path / "killed", tmp_path / "told.txt"
    words = room.words(out, room.preset(tmp_path, **changes))
    for death in DEATHS:
        assert finished(words, told, death) == -signal.SIGKILL, told.read_text()
        if death[0] == "write":
            assert list((out / "checkpoints").glob(f"*{PARTIAL}*"))
    assert not (out / "model").exists()
    assert finished(words, told) == 0, told.read_text()
    assert "Going on after step" in told.read_text()
    assert equal(weights(out), weights(tmp_path / "whole"))
    one, other = (read_metrics(folder / "logs" / "metrics.jsonl") for folder in (tmp_path / "whole", out))
    assert one == other


def test_killed_while_it_encodes_it_does_no_pair_twice(room: Room, tmp_path: Path) -> None:
    preset, told = room.preset(tmp_path, steps=1), tmp_path / "told.txt"
    words = ["train", "lora", "--data", room.pairs, "--base", "tiny", "--out", tmp_path / "run", "--track", "none"]
    words += ["--preset", preset]
    assert finished(words, told, ("encode", 3)) == -signal.SIGKILL
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "latents" / "objects").rglob("*.safetensors")}
    assert len(made) == 3
    assert finished(words, told) == 0, told.read_text()
    assert "2 of them found so" in told.read_text() or "1 of them found so" in told.read_text()
    assert len(read_index(tmp_path / "run" / "latents").pairs) == 5


@pytest.mark.parametrize(("strategy", "items"), [("ddp", 2), ("fsdp", 1)])
def test_two_processes_equal_one_that_accumulates(room: Room, tmp_path: Path, strategy: str, items: int) -> None:
    train_lora(room.task(accumulate=4, batch_items=items), tmp_path / "one")
    two, shared = tmp_path / "two", {"accumulate": 2, "devices": 2, "strategy": strategy, "validate_dubs": 1}
    words = room.words(two, room.preset(tmp_path, **shared, batch_items=items))
    assert on_two(words, tmp_path) == [0, 0], (tmp_path / "told.0.txt").read_text()
    assert greatest_difference(weights(tmp_path / "one"), weights(two)) < ROUNDING
    logs = [read_metrics(folder / "logs" / "metrics.jsonl") for folder in (tmp_path / "one", two)]
    assert logs[0]["train/loss"] == pytest.approx(logs[1]["train/loss"], rel=2e-3)
    assert logs[0]["val/loss"] == pytest.approx(logs[1]["val/loss"], rel=2e-3)
    assert list((two / "validation").rglob("*.mp4"))

    # The checkpoint is whole: one process goes on from it, with as many pairs a step.
    (two / "model").rename(tmp_path / "kept")
    checkpoint_path(two / "checkpoints", 8).unlink()
    report = train_lora(room.task(accumulate=4, batch_items=items, validate_dubs=1), two)
    assert report.resumed_at == 6
    assert greatest_difference(weights(tmp_path / "one"), weights(two)) < ROUNDING


def test_a_lora_moves_the_loss_on_pairs_held_out(room: Room, tmp_path: Path) -> None:
    rates = {"default": 3e-3, "patterns": []}
    changes = {"steps": 160, "rates": rates, "validate_every": 40, "log_every": 40, "checkpoint_every": 160}
    train_lora(room.task(lora={"rank": 8}, **changes), tmp_path)
    held = read_metrics(tmp_path / "logs" / "metrics.jsonl")["val/loss"]
    start = train_lora(
        room.task(lora={"rank": 8}, **(changes | {"steps": 1, "rates": {"default": 1e-9}})), tmp_path / "untrained"
    )
    base = read_metrics(start.adapter.parents[1] / "logs" / "metrics.jsonl")["val/loss"][1]
    assert held[160] < 0.9 * base
