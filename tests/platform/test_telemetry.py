"""What a workspace tells Prometheus, from what trainings, the gate and promotions left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dubflow.gateway.metrics import exposition
from dubflow.judging.gate.signing import SignedVerdict, write_verdict
from dubflow.platform.telemetry import Workspace
from dubflow.registry.history import Change
from dubflow.registry.journal import Journal
from dubflow.registry.tracking_store import Store, store_of
from dubflow.tracking import FolderLog
from judging.gate.systems import system
from judging.page.sample import small_verdict

Found = dict[tuple[str, str], float]


def told(folder: Path, store: Store | None = None) -> Found:
    """Values by metric and labels."""
    text = exposition(Workspace(folder, store).collect())[0].decode()
    return {
        (one.name, ",".join(value for _, value in sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "trainings" / "dubber"
    log = FolderLog(folder / "logs")
    log.metrics({"train/loss": 9.0, "train/rate": 1e-3}, 50)
    log.metrics({"train/loss": 7.5, "train/rate": 5e-4}, 100)
    log.metrics({"val/loss": 8.0}, 100)
    (folder / "checkpoints").mkdir()
    for step, at in ((50, 1_000_000.0), (100, 1_000_025.0)):
        path = folder / "checkpoints" / f"step-{step:08d}.safetensors"
        path.write_bytes(b"")
        os.utime(path, (at, at))
    return folder


def test_a_training_is_seen_by_its_log_and_checkpoints(run: Path, tmp_path: Path) -> None:
    found, name = told(tmp_path / "work"), "trainings/dubber"
    assert found["dubflow_training_step", name] == 100
    assert found["dubflow_training_loss", f"train,{name}"] == 7.5
    assert found["dubflow_training_loss", f"validation,{name}"] == 8.0
    assert found["dubflow_training_learning_rate", name] == 5e-4
    assert found["dubflow_training_steps_per_second", name] == 2.0
    assert found["dubflow_training_finished", name] == 0
    assert found["dubflow_training_checkpoint_timestamp_seconds", name] == 1_000_025
    # A run that was killed while it logged is told as far as it went.
    with (run / "logs" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 150, "train/lo')
    assert told(tmp_path / "work") == {**found, **told(tmp_path / "work")}
    assert told(tmp_path / "work")["dubflow_training_step", name] == 100


def test_a_result_ends_a_training_and_old_ones_are_not_told_of_for_ever(run: Path, tmp_path: Path) -> None:
    (run / "model").mkdir()
    for number in range(60):
        log = FolderLog(run.parent / f"run-{number:02d}" / "logs")
        log.metrics({"train/loss": 1.0}, 1)
        os.utime(log.root / "metrics.jsonl", (1_000_000 + number, 1_000_000 + number))
    found = told(tmp_path / "work")
    runs = [labels for name, labels in found if name == "dubflow_training_step"]
    assert sorted(runs) == sorted(["trainings/dubber", *(f"trainings/run-{number:02d}" for number in range(11, 60))])
    assert found["dubflow_training_finished", "trainings/dubber"] == 1
    assert found["dubflow_training_finished", "trainings/run-59"] == 0


def test_verdicts_are_counted_once_and_what_is_none_is_passed_over(tmp_path: Path) -> None:
    cards = [system(wer=wer, seed=seed, name=f"s{seed}", package="ab" * 32) for seed, wer in ((1, 0.2), (2, 0.3))]
    verdict = small_verdict(*cards).model_copy(update={"made_at": "2026-01-02T00:00:00+00:00"})
    path = write_verdict(SignedVerdict(verdict=verdict), tmp_path / "a" / "verdict.json")
    (tmp_path / "b").mkdir()
    shutil.copyfile(path, tmp_path / "b" / "copy.json")
    (tmp_path / "b" / "broken.json").write_text('{"format": "dubflow.verdict/1"')
    found = told(tmp_path)
    assert found["dubflow_gate_verdicts", "refuse"] == 1
    assert found["dubflow_gate_last_timestamp_seconds", ""] == 1767312000


def test_champions_and_their_changes(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    store = store_of(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "run")
    journal = Journal(store)

    def at(day: int, **more: str | bool) -> Change:
        return Change(by="ann", at=f"2026-01-0{day}T00:00:00+00:00", **more)  # type: ignore[arg-type]

    for version in (1, 2):
        journal.append(journal.state("m").registered(version, f"{version}b" * 32, at(1)))
    journal.append(journal.state("m").promoted(1, at(2, verdict="cd" * 32)))
    journal.append(journal.state("m").promoted(2, at(3, override=True, reason="r")))
    journal.append(journal.state("m").rolled_back(at(4)))
    found = told(tmp_path, store)
    assert found["dubflow_champion_version", "m"] == 1
    assert found["dubflow_champion_changed_timestamp_seconds", "m"] == 1767484800
    assert found["dubflow_champion_changes_total", "promote,m,false"] == 1
    assert found["dubflow_champion_changes_total", "promote,m,true"] == 1
    assert found["dubflow_champion_changes_total", "rollback,m,false"] == 1


def test_an_empty_workspace_tells_nothing_and_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    assert told(tmp_path / "w", store_of(None, tmp_path / "w" / "run")) == {}
    assert list(tmp_path.rglob("*")) == [tmp_path / "w"]


@pytest.mark.slow
def test_the_verb_listens_on_loopback(run: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dubflow", "metrics", str(tmp_path / "work"), "--listen", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert process.stderr.readline().strip() == f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answered:
            assert "dubflow_training_step" in answered.read().decode()
    finally:
        process.terminate()
        process.communicate(timeout=20)
