"""Several processes do what one does that takes as many batches a step: with copies of the weights, and with shards."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from diflow.training.room import Room, clips_of, greatest_difference, run_on, weights, write_set
from dubflow.diflow.training.run import train
from dubflow.tracking import read_metrics
from dubflow.training.checkpoints import checkpoint_path, checkpoints, step_of

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {"steps": 6, "ema": 0.7, "clip_norm": 0.5, "batch_items": 1, "checkpoint_every": 2}
ROUNDING = 5e-4
"""Of a weight after six steps of 1e-2: AdamW makes much of the order in which small gradients are summed."""


def of_one_process(room: Room, out: Path) -> Path:
    return train(room.task(accumulate=4, **SETTINGS), out).model


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_equal_one_that_accumulates_and_go_on_where_it_stopped(
    room: Room, tmp_path: Path, strategy: str
) -> None:
    one, two = of_one_process(room, tmp_path / "one"), tmp_path / "two"
    preset = room.preset(tmp_path, accumulate=2, devices=2, strategy=strategy, **SETTINGS)
    words = room.words("tts", two, preset)
    assert run_on(2, words, tmp_path) == [0, 0], (tmp_path / "told.1.txt").read_text()
    assert greatest_difference(weights(one), weights(two / "model")) < ROUNDING
    logs = [read_metrics(out / "logs" / "metrics.jsonl") for out in (tmp_path / "one", two)]
    assert logs[0].keys() == logs[1].keys()
    for name, values in logs[0].items():
        assert logs[1][name] == pytest.approx(values, rel=2e-3), name

    # The shards' checkpoint is whole: one process goes on from it, with copies and as many batches a step.
    (two / "model").rename(tmp_path / "kept")
    checkpoint_path(two / "checkpoints", 6).unlink()
    report = train(room.task(accumulate=4, **SETTINGS), two)
    assert report.resumed_at == 4
    assert greatest_difference(weights(one), weights(report.model)) < ROUNDING


def test_shards_go_on_from_copies(room: Room, tmp_path: Path) -> None:
    one = of_one_process(room, tmp_path / "one")
    expected = weights(one)
    shutil.rmtree(one)
    checkpoint_path(tmp_path / "one" / "checkpoints", 6).unlink()
    preset = room.preset(tmp_path, accumulate=2, devices=2, strategy="fsdp", **SETTINGS)
    assert run_on(2, room.words("tts", tmp_path / "one", preset), tmp_path) == [0, 0]
    assert "Going on after step 4 of 6" in (tmp_path / "told.0.txt").read_text()
    assert greatest_difference(expected, weights(one)) < ROUNDING


def test_a_loss_that_is_none_in_one_process_ends_both_and_names_its_clips(room: Room, tmp_path: Path) -> None:
    clips = clips_of(room.speaker)
    clips["c/2"].arrays["speaker"][3] = float("nan")
    data = write_set(tmp_path / "data", room.codec_id, clips)
    words = room.words("tts", tmp_path / "run", room.preset(tmp_path, devices=2, batch_items=1, checkpoint_every=1))
    words[words.index(room.data)] = data
    assert run_on(2, words, tmp_path) == [4, 4]
    for rank in (0, 1):
        told = (tmp_path / f"told.{rank}.txt").read_text()
        assert "its clips: c/2." in told
    assert not (tmp_path / "run" / "model").exists()
    assert [step_of(path) for path in checkpoints(tmp_path / "run" / "checkpoints")][-1:] != [12]
