"""Runs on this machine: finished once, resumed where they failed, cancelled and killed with nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import BadInput, WrongUse
from dubflow.media.encode import write_audio
from dubflow.platform.pipelines.definitions import Definition
from dubflow.platform.pipelines.local import resume, start
from dubflow.platform.pipelines.records import alive, list_records, read_record
from toy_pipeline import toy_definition


@pytest.fixture(scope="session")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Definition:
    return toy_definition(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    write_audio(path, np.zeros(1600, np.float32), 16000)
    return path


def lines(home: Path, name: str) -> int:
    path = home / "workspace" / name
    return len(path.read_text().splitlines()) if path.is_file() else 0


@pytest.mark.slow
def test_a_second_run_takes_everything_from_the_cache(definition: Definition, clip: Path, tmp_path: Path) -> None:
    home, said = tmp_path / "runs", list[str]()
    first = start(definition, {"clip": str(clip)}, home, said.append)
    assert first.state == "succeeded"
    assert list(first.steps.values()) == ["succeeded"] * 5
    assert [line for line in said if line.startswith("[1]")] == ["[1] the first"]
    assert any(line.strip() == f"dubflow probe {clip}" for line in said), "what a step runs is said"
    said.clear()
    second = start(definition, {"clip": str(clip)}, home, said.append)
    assert set(second.steps.values()) == {"cached"}
    assert [lines(home, name) for name in ("first", "second", "last")] == [1, 1, 1]
    assert all("found in the cache" in line for line in said)
    assert [one.id for one in list_records(home)] == [second.id, first.id]
    assert "the claim: the workspace is a folder" not in first.ignored
    assert any("images" in line for line in first.ignored)


@pytest.mark.slow
def test_an_error_of_the_users_is_not_retried_and_the_run_resumes_where_it_failed(
    definition: Definition, clip: Path, tmp_path: Path
) -> None:
    home, absent = tmp_path / "runs", tmp_path / "absent.wav"
    with pytest.raises(BadInput) as error:
        start(definition, {"clip": str(absent)}, home, lambda line: None)
    assert error.value.code == "media.missing"
    run = list_records(home)[0]
    assert run.state == "failed"
    assert list(run.steps.values()) == ["succeeded", "failed"]
    clip.rename(absent)
    resumed = resume(run.id, home, lambda line: None)
    assert (resumed.state, resumed.attempts) == ("succeeded", 2)
    assert list(resumed.steps.values()) == ["cached"] + ["succeeded"] * 4
    assert lines(home, "first") == 1
    with pytest.raises(WrongUse, match="run_is_over"):
        resume(run.id, home, lambda line: None)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.05)


def started(definition: Definition, clip: Path, home: Path, tmp_path: Path) -> subprocess.Popen[bytes]:
    """The same in a process of its own, up to the step that waits."""
    (tmp_path / "toy.yaml").write_text(definition.text)
    code = (
        "import sys; from pathlib import Path\n"
        "from dubflow.cli import main\n"
        "from dubflow.platform.pipelines.definitions import parse\n"
        "from dubflow.platform.pipelines.local import start\n"
        "import signal; signal.signal(signal.SIGTERM, main._terminate)\n"
        "text, clip, home = sys.argv[1:]\n"
        "start(parse(Path(text).read_text()), {'clip': clip, 'seconds': 300.0}, Path(home), print)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "toy.yaml"), str(clip), str(home)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: (home / "workspace" / "waiting").is_file())
    return process


def waiting(home: Path) -> bool:
    """Whether the step that waits is there."""
    return Path(f"/proc/{(home / 'workspace' / 'waiting').read_text()}").exists()


@pytest.mark.slow
def test_a_killed_run_takes_its_steps_along_and_is_finished_later(
    definition: Definition, clip: Path, tmp_path: Path
) -> None:
    home = tmp_path / "runs"
    process = started(definition, clip, home, tmp_path)
    run = list_records(home)[0]
    assert run.state == "running"
    assert waiting(home)
    process.kill()
    process.wait()
    until(lambda: not waiting(home))
    stopped = read_record(home, run.id)
    assert (stopped.state, alive(stopped.process)) == ("stopped", False)
    # The step would wait again; the copy of the arguments is made quick.
    record = json.loads((home / run.id / "run.json").read_text())
    record["arguments"]["seconds"] = 0.0
    (home / run.id / "run.json").write_text(json.dumps(record))
    resumed = resume(run.id, home, lambda line: None)
    assert resumed.state == "succeeded"
    assert [lines(home, name) for name in ("first", "second", "last")] == [1, 1, 1]


@pytest.mark.slow
def test_a_run_is_cancelled_from_elsewhere(definition: Definition, clip: Path, tmp_path: Path) -> None:
    from dubflow.platform.pipelines.local import cancel

    home = tmp_path / "runs"
    process = started(definition, clip, home, tmp_path)
    run = list_records(home)[0].id
    assert cancel(run, home).state == "cancelled"
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    until(lambda: not waiting(home))
    with pytest.raises(WrongUse, match="run_is_over"):
        cancel(run, home)


def test_a_process_id_that_somebody_else_has_now_is_not_the_run() -> None:
    assert alive((os.getpid(), "1")) is False
    assert alive(None) is False
