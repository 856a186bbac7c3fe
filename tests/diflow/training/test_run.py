from __future__ import annotations
from pathlib import Path
import time
from diflow.training.room import Room, weights, equal
from dubflow.diflow.training.run import train

def test_first(room: Room, tmp_path: Path) -> None:
    t=time.time()
    report = train(room.task(), tmp_path / "a")
    print(time.time()-t, report)
    t=time.time()
    train(room.task(validate_every=2, validate_aloud=1), tmp_path / "b")
    print(time.time()-t)
    assert equal(weights(tmp_path / "a/model"), weights(tmp_path / "b/model"))
    r=train(room.task("dubber", teacher=report.model, ema=0.9, accumulate=2), tmp_path / "c")
    print(r)
