"""A run in MLflow is one run however often its training is killed, and a dead store never ends a training."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.cli.main import _terminate
from dubflow.errors import BadInput, WrongUse
from dubflow.registry.mlflow_log import OUTBOX, open_run
from dubflow.registry.run_link import RUN_FILE, name_for_mlflow
from dubflow.registry.tracking_store import store_of


def history(client: Any, run_id: str, name: str) -> list[tuple[int, float]]:
    return sorted((metric.step, metric.value) for metric in client.get_metric_history(run_id, name))


def test_numbers_parameters_files_and_facts_arrive(work: Path, client: Any, notes: Any, only_run: Any) -> None:
    picture = work / "a picture.png"
    picture.write_bytes(b"png")
    with open_run(None, "tts", "first", folder=work / "run", tags={"preset": "tiny"}, progress=notes) as log:
        log.parameters({"net.width": 64, "ema": None, "rate": 1e-4, "odd=name": "x" * 9000})
        for step in range(1200):
            log.metrics({"train/loss": 1 / (step + 1), "lr": 0.1}, step)
        log.metrics({"val/wer": math.nan}, 1199)
        log.artifact(picture, "validation/step 1199")
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert run.data.params["net.width"] == "64"
    assert run.data.params["rate"] == "0.0001"
    assert run.data.params["ema"] == ""
    assert set(run.data.params["odd_name"]) == {"x"}
    assert history(client, run.info.run_id, "train/loss") == [(step, 1 / (step + 1)) for step in range(1200)]
    assert math.isnan(run.data.metrics["val/wer"])
    assert run.data.metrics["system/peak_memory_gib"] > 0.01
    assert run.data.tags["preset"] == "tiny"
    assert run.data.tags["mlflow.runName"] == "first"
    assert run.data.tags["version.dubflow"]
    assert not [tag for tag in run.data.tags.values() if tag.startswith("/")], "a path of this machine in a tag"
    kept = list((work / "mlflow-artifacts").rglob("a picture.png"))
    assert [path.parent.name for path in kept] == ["step 1199"]
    assert not (work / "run" / OUTBOX).exists()
    assert not notes.about("did not reach")


def test_a_resumed_training_goes_on_in_its_run_and_repeats_nothing(
    work: Path, client: Any, notes: Any, only_run: Any
) -> None:
    folder = work / "run"
    with pytest.raises(KeyboardInterrupt), open_run(None, "tts", "r", folder=folder, progress=notes) as log:
        log.parameters({"steps": 100, "width": 8})
        for step in range(0, 62):
            log.metrics({"loss": float(step)}, step)
        raise KeyboardInterrupt
    assert only_run(client).info.status == "KILLED"
    with open_run(None, "tts", "r", folder=folder, progress=notes) as log:
        assert only_run(client).info.status == "RUNNING"
        log.parameters({"steps": 200, "width": 8})
        for step in range(50, 100):  # from the last checkpoint
            log.metrics({"loss": float(step), "new": 1.0}, step)
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert history(client, run.info.run_id, "loss") == [(step, float(step)) for step in range(100)]
    assert history(client, run.info.run_id, "new") == [(step, 1.0) for step in range(50, 100)]
    assert run.data.params == {"steps": "100", "width": "8"}
    assert run.data.tags["resumed_with.steps"] == "200"
    assert "resumed_with.width" not in run.data.tags
    assert run.data.tags["resumptions"] == "1"


def test_a_number_said_twice_in_one_run_is_there_once(work: Path, client: Any, notes: Any, only_run: Any) -> None:
    with open_run(None, "tts", "r", folder=work / "run", progress=notes) as log:
        log.metrics({"loss": 1.0}, 3)
        log.metrics({"loss": 2.0}, 3)
        log.flush()  # type: ignore[attr-defined]
        log.metrics({"loss": 3.0}, 3)
    assert history(client, only_run(client).info.run_id, "loss") == [(3, 1.0)]


def test_a_working_folder_that_moved_goes_on_and_says_where_its_files_are(work: Path, notes: Any) -> None:
    with open_run(None, "tts", "r", folder=work / "run", progress=notes) as log:
        first = log.run_id  # type: ignore[attr-defined]
    assert not notes.about("files of this run go to")
    moved = work.rename(work.with_name("moved"))
    with open_run(None, "tts", "r", folder=moved / "run", progress=notes) as log:
        assert log.run_id == first  # type: ignore[attr-defined]
    (told,) = notes.about("files of this run go to")
    assert work.as_uri() in told


@given(st.text())
@settings(deadline=None, max_examples=200)
def test_mlflow_takes_every_name_that_we_make_of_one(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name, _validate_tag_name

    for check in (_validate_metric_name, _validate_param_name, _validate_tag_name):
        check(name_for_mlflow(name))


@pytest.mark.parametrize("name", ["train/loss", "net.width", "a b-c_d:e"])
def test_names_that_mlflow_takes_stay(name: str) -> None:
    assert name_for_mlflow(name) == name


def test_a_deleted_run_is_begun_anew_and_said_so(work: Path, client: Any, notes: Any) -> None:
    folder = work / "run"
    with open_run(None, "tts", "r", folder=folder, progress=notes):
        pass
    first = json.loads((folder / RUN_FILE).read_text())["run_id"]
    client.delete_run(first)
    with open_run(None, "tts", "r", folder=folder, progress=notes):
        pass
    second = json.loads((folder / RUN_FILE).read_text())["run_id"]
    assert second != first
    assert notes.about("was deleted; a new one begins")
    (folder / RUN_FILE).write_text('{"format": "dubflow.mlflow_run/1", "run_id": "f00", "experiment": "", "store": ""}')
    with open_run(None, "tts", "r", folder=folder, progress=notes):
        pass
    assert notes.about("f00 is not there")
    (folder / RUN_FILE).write_text("not json")
    with open_run(None, "tts", "r", folder=folder, progress=notes):
        pass
    assert notes.about("does not say which run")


@pytest.mark.parametrize(
    ("error", "status", "tag"),
    [
        (BadInput("diflow.not_finite", "The loss is NaN."), "FAILED", "diflow.not_finite"),
        (RuntimeError("no memory"), "FAILED", "RuntimeError"),
        (KeyboardInterrupt(), "KILLED", None),
        (SystemExit(1), "KILLED", None),
        (SystemExit(0), "FINISHED", None),
    ],
)
def test_the_end_is_told_as_it_was(
    work: Path, client: Any, notes: Any, only_run: Any, error: BaseException, status: str, tag: str | None
) -> None:
    with pytest.raises(type(error)), open_run(None, "tts", "r", folder=work / "run", progress=notes) as log:
        log.metrics({"loss": 1.0}, 1)
        raise error
    run = only_run(client)
    assert (run.info.status, run.data.tags.get("error")) == (status, tag)
    assert run.info.end_time is not None
    assert run.data.metrics["loss"] == 1.0
    with open_run(None, "tts", "r", folder=work / "run", progress=notes):
        pass
    assert "error" not in only_run(client).data.tags  # it went well after all


def test_sigterm_as_the_command_line_takes_it_is_killed(work: Path, client: Any, notes: Any, only_run: Any) -> None:
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with pytest.raises(SystemExit), open_run(None, "tts", "r", folder=work / "run", progress=notes):
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert only_run(client).info.status == "KILLED"


def test_runs_of_a_working_folder_share_a_database_and_experiments(work: Path, client: Any, notes: Any) -> None:
    for name, experiment in (("a", "tts"), ("b", "tts"), ("c", "dubber")):
        with open_run(None, experiment, name, folder=work / name, progress=notes):
            pass
    found = {e.name: len(client.search_runs([e.experiment_id])) for e in client.search_experiments()}
    assert found["tts"] == 2
    assert found["dubber"] == 1
    assert {path.name for path in work.iterdir()} <= {"mlflow.db", "mlflow-artifacts", "a", "b", "c"}


def test_a_deleted_experiment_is_an_error_before_anything_starts(work: Path, client: Any, notes: Any) -> None:
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(WrongUse) as caught, open_run(None, "gone", "r", folder=work / "run", progress=notes):
        pytest.fail("the run was opened")
    assert caught.value.code == "registry.experiment_deleted"


def test_a_server_that_dies_and_comes_back_gets_everything_once(
    loopback: Any, tmp_path: Path, notes: Any, clock: Callable[[float], None]
) -> None:
    from mlflow.tracking import MlflowClient

    picture = tmp_path / "mel.png"
    with open_run(loopback.uri, "dies", "r", folder=tmp_path / "run", progress=notes) as log:
        log.metrics({"loss": 0.0}, 0)
        clock(11)
        log.metrics({"loss": 1.0}, 1)  # sent
        loopback.stop()
        for step in range(2, 40):
            clock(11)
            log.metrics({"loss": float(step)}, step)
        picture.write_bytes(b"one")
        log.artifact(picture, "validation")
        picture.write_bytes(b"changed since")
        log.parameters({"late": True})
        assert len(notes.about("does not take what is logged")) == 1
        assert (tmp_path / "run" / OUTBOX).is_dir()
        loopback.start()
        clock(3600)
        log.metrics({"loss": 40.0}, 40)
        assert notes.about("answers again")
        assert not (tmp_path / "run" / OUTBOX).exists()
    client = MlflowClient(tracking_uri=loopback.uri)
    run = client.get_run(json.loads((tmp_path / "run" / RUN_FILE).read_text())["run_id"])
    assert run.info.status == "FINISHED"
    assert history(client, run.info.run_id, "loss") == [(step, float(step)) for step in range(41)]
    assert run.data.params == {"late": "True"}
    kept = Path(client.download_artifacts(run.info.run_id, "validation/mel.png", str(tmp_path)))
    assert kept.read_bytes() == b"one"
    assert not notes.about("did not reach")


def test_a_server_that_stays_dead_costs_a_warning_and_the_next_opening_sends_it(
    loopback: Any, tmp_path: Path, notes: Any, clock: Callable[[float], None]
) -> None:
    from mlflow.tracking import MlflowClient

    folder = tmp_path / "run"
    with pytest.raises(RuntimeError), open_run(loopback.uri, "dead", "r", folder=folder, progress=notes) as log:
        log.metrics({"loss": 0.0}, 0)
        loopback.stop()
        clock(11)
        log.metrics({"loss": 1.0}, 1)
        raise RuntimeError("and then the training failed as well")
    assert len(notes.about("does not take")) == 1
    (told,) = notes.about("did not reach")
    assert "FAILED" in told
    assert "5 numbers" in told  # the two and the system's
    loopback.start()
    with open_run(loopback.uri, "dead", "r", folder=folder, progress=notes) as log:
        log.metrics({"loss": 1.0}, 1)
        log.metrics({"loss": 2.0}, 2)
    client = MlflowClient(tracking_uri=loopback.uri)
    run_id = json.loads((folder / RUN_FILE).read_text())["run_id"]
    assert history(client, run_id, "loss") == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert client.get_run(run_id).info.status == "FINISHED"


def test_a_store_that_never_answers_does_not_stop_a_training(tmp_path: Path, work: Path, notes: Any) -> None:
    with open_run("http://127.0.0.1:9", "tts", "r", folder=work / "run", progress=notes) as log:
        log.parameters({"width": 8})
        log.metrics({"loss": 1.0}, 1)
        assert log.run_id is None  # type: ignore[attr-defined]
    assert len(notes.about("does not take what is logged")) == 1
    assert notes.about("did not reach")
    # Its record was kept, and goes to the store that is named next.
    with open_run(None, "tts", "r", folder=work / "run", progress=notes) as log:
        run_id = log.run_id  # type: ignore[attr-defined]
    from mlflow.tracking import MlflowClient

    run = MlflowClient(tracking_uri=store_of(None, work / "run").uri).get_run(run_id)
    assert run.data.params == {"width": "8"}
    assert run.data.metrics["loss"] == 1.0


def test_a_database_server_that_does_not_answer_is_told_at_once(work: Path, notes: Any) -> None:
    with open_run("postgresql://me:secret@127.0.0.1:9/runs", "tts", "r", folder=work / "run", progress=notes) as log:
        log.metrics({"loss": 1.0}, 1)
    assert notes.about("ConnectionRefusedError")
    assert not notes.about("secret")


def test_a_file_that_is_not_there_is_the_callers_mistake(work: Path, notes: Any) -> None:
    with open_run(None, "tts", "r", folder=work / "run", progress=notes) as log:
        with pytest.raises(FileNotFoundError):
            log.artifact(work / "nothing.png")
        with pytest.raises(WrongUse):
            log.artifact(work / "mlflow.db", "../elsewhere")


def test_mlflow_is_imported_when_a_run_is_opened_and_not_before(repository: Path) -> None:
    code = "import sys, dubflow.registry.mlflow_log; print(sorted({'mlflow', 'torch'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=repository)
    assert answer.stdout.strip() == "[]"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the time that the log goes by."""
    ahead = 0.0

    def move(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    shifted = SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() + ahead)
    monkeypatch.setattr("dubflow.registry.mlflow_log.time", shifted)
    return move


_KILLED = """
import os, signal, sys
from pathlib import Path
from dubflow.registry.mlflow_log import open_run
with open_run(None, "tts", "r", folder=Path(sys.argv[1])) as log:
    for step in range(30):
        log.metrics({"loss": float(step)}, step)
    log.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_training_that_was_killed_outright_goes_on_in_its_run(
    work: Path, client: Any, notes: Any, only_run: Any
) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(work / "run")], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert b"MLflow: opening" in killed.stderr
    assert only_run(client).info.status == "RUNNING"  # nobody was left to say anything else
    with open_run(None, "tts", "r", folder=work / "run", progress=notes) as log:
        for step in range(20, 40):
            log.metrics({"loss": float(step)}, step)
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert history(client, run.info.run_id, "loss") == [(step, float(step)) for step in range(40)]


def test_a_full_disk_and_a_dead_store_together_are_survived_and_told(
    work: Path, notes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dubflow.registry.outbox.Outbox.add_points", full)
    with open_run("http://127.0.0.1:9", "tts", "r", folder=work / "run", progress=notes) as log:
        for step in range(3):
            log.metrics({"loss": 1.0}, step)
            log.flush()  # type: ignore[attr-defined]
    assert len(notes.about("takes nothing either (No space left on device)")) == 1
    assert notes.about("3 times not even the disk took it")
