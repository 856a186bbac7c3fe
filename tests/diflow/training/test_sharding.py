"""Several processes do what one does that takes as many batches a step: with copies of the weights, and with shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from diflow.training.room import Room, greatest_difference, run_on, weights
from dubflow.diflow.training.run import train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("strategy", "stage"), [("ddp", "tts"), ("fsdp", "tts")])
def test_two_processes_equal_one_that_accumulates(room: Room, tmp_path: Path, strategy: str, stage: str) -> None:
    settings = {"steps": 6, "ema": 0.7, "clip_norm": 0.5, "batch_items": 1}
    one = train(room.task(stage, accumulate=4, **settings), tmp_path / "one")
    preset = room.preset(tmp_path, accumulate=2, devices=2, strategy=strategy, **settings)
    ended = run_on(2, room.words(stage, tmp_path / "two", preset), tmp_path)
    print((tmp_path / "told.0.txt").read_text()[-3000:], (tmp_path / "told.1.txt").read_text()[-3000:])
    assert ended == [0, 0]
    print(greatest_difference(weights(one.model), weights(tmp_path / "two" / "model")))
