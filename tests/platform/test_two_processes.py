"""Two processes that torchrun starts by a TrainJob's very command: their weights, and what the loss of one costs."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from diflow.training.room import Room, equal, greatest_difference, shared_room, weights
from dubflow.diflow.training.run import train
from dubflow.platform.steps.verbs import run_verb
from dubflow.platform.training_command import launcher_of, training_words
from dubflow.tracking import read_metrics
from dubflow.training.checkpoints import checkpoints, step_of

pytestmark = pytest.mark.slow

STEPS = 40
SETTINGS: dict[str, Any] = {
    "steps": STEPS,
    "ema": 0.7,
    "batch_items": 1,
    "checkpoint_every": 4,
    "rates": {"default": 1e-3},
}
ROUNDING = 5e-4
"""Of a weight after all steps: AdamW makes much of the order in which small gradients are summed."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


def on_two(room: Room, out: Path, strategy: str = "ddp", **more: str) -> dict[str, Any]:
    """The command, as a pipeline's step runs it; its one answer."""
    out.parent.mkdir(exist_ok=True, parents=True)
    preset = str(room.preset(out.parent, strategy=strategy, **SETTINGS))
    folders = {"data": str(room.data), "codec": str(room.codec), "out": str(out)}
    words = training_words("tts", **folders, preset=preset, nodes=1, devices=2, track="none", **more)
    return run_verb(*words, launcher=launcher_of(1, 2))


@pytest.fixture(scope="module")
def undisturbed(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    answer = on_two(room, out)
    assert (answer["steps"], answer["resumed_at"], answer["found"]) == (STEPS, 0, False)
    return out


def workers(out: Path) -> dict[int, int]:
    """The processes that train in a folder: their ids by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            variables = dict(
                pair.split(b"=", 1) for pair in (folder / "environ").read_bytes().split(b"\0") if b"=" in pair
            )
        except OSError:
            continue  # it has ended, or is another person's
        if str(out).encode() in words and b"RANK" in variables:
            found[int(variables[b"RANK"])] = int(folder.name)
    return found


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for(what: Any) -> Any:
    until = time.monotonic() + 240
    while not (seen := what()):
        assert time.monotonic() < until
        time.sleep(0.005)
    return seen


def same_run(out: Path, other: Path) -> bool:
    logs = [read_metrics(each / "logs" / "metrics.jsonl") for each in (out, other)]
    return equal(weights(out / "model"), weights(other / "model")) and logs[0] == logs[1]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_by_the_command_equal_one_that_accumulates(
    room: Room, undisturbed: Path, tmp_path: Path, strategy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    two = undisturbed
    if strategy == "fsdp":
        two = tmp_path / "fsdp" / "run"
        on_two(room, two, "fsdp")
        assert "MEMBER: 2/2" in capfd.readouterr().err
    one = train(room.task(accumulate=2, **SETTINGS), tmp_path / "one").model
    assert greatest_difference(weights(one), weights(two / "model")) < ROUNDING


def test_a_process_that_is_lost_costs_the_steps_since_the_last_checkpoint(
    room: Room, undisturbed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(on_two, room, out)
        for rank in (1, 0):  # the second time the one that holds the folder, and writes
            before = newest(out)
            wait_for(lambda before=before: newest(out) > before)
            os.kill(workers(out)[rank], signal.SIGKILL)
        answer = running.result()
    told = capfd.readouterr().err
    assert told.count("Going on after step") == 2
    assert f"Going on after step {answer['resumed_at']} of {STEPS}" in told
    assert "Trying again" not in told, "torchrun starts them again, not the step"
    assert same_run(out, undisturbed)


def newest(out: Path) -> int:
    """Steps after which the newest checkpoint was written; 0 without one."""
    return max(map(step_of, checkpoints(out / "checkpoints")), default=0)


def test_a_launcher_that_is_killed_takes_its_processes_along_and_the_same_command_goes_on(
    room: Room, undisturbed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(on_two, room, out)
        wait_for(lambda: newest(out))
        lost = workers(out)
        assert len({parent(process) for process in lost.values()}) == 1
        os.kill(parent(lost[0]), signal.SIGKILL)
        wait_for(lambda: not set(lost.values()) & set(workers(out).values()))
        answer = running.result()  # the step starts the same command again
    assert "by signal 9" in capfd.readouterr().err
    assert answer["resumed_at"] > 0
    assert same_run(out, undisturbed)
