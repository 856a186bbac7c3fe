"""Which store a run goes to, and that MLflow may neither phone home nor unpickle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dubflow.errors import WrongUse
from dubflow.registry.tracking_store import client_of, store_of


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DUBFLOW_MLFLOW_URI", "DUBFLOW_MLFLOW_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_word_runs_share_a_database_beside_their_folders(tmp_path: Path) -> None:
    first, second = store_of(None, tmp_path / "runs" / "a"), store_of(None, tmp_path / "runs" / "b")
    assert first == second
    assert first.uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert first.artifacts == (tmp_path / "runs" / "mlflow-artifacts").as_uri()


def test_the_environment_says_where_and_an_argument_has_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUBFLOW_MLFLOW_URI", "https://runs.example.org")
    monkeypatch.setenv("DUBFLOW_MLFLOW_ARTIFACTS", "s3://bucket/runs")
    assert store_of(None, tmp_path / "a").uri == "https://runs.example.org"
    assert store_of(None, tmp_path / "a").artifacts is None  # a tracking server decides itself
    chosen = store_of("postgresql+psycopg://u:p@db.example.org:5433/mlflow", tmp_path / "a")
    assert chosen.uri == "postgresql+psycopg://u:p@db.example.org:5433/mlflow"
    assert chosen.artifacts == "s3://bucket/runs"
    assert chosen.shown == "postgresql+psycopg://db.example.org:5433/mlflow"


@pytest.mark.parametrize(
    "uri", ["runs", "./mlruns", "ftp://x/y", "file:///x", "sqlite", "sqlite://", "sqlite:///:memory:", "http:/x"]
)
def test_what_is_no_store_is_wrong_use(uri: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUse) as caught:
        store_of(uri, tmp_path / "a")
    assert caught.value.code == "registry.bad_tracking_uri"


def test_mlflow_may_neither_phone_home_nor_unpickle(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    client_of(store_of(f"sqlite:///{template}", tmp_path / "a"))
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION, MLFLOW_DISABLE_TELEMETRY
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert MLFLOW_DISABLE_TELEMETRY.get() is True
    assert MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get() is False
    assert is_telemetry_disabled()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"  # what the user set by MLflow's own name stands


@pytest.mark.slow
def test_trainings_that_start_together_set_the_database_up_once(tmp_path: Path, template: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dubflow.registry.mlflow_log import open_run\n"
        "with open_run(None, 'tts', sys.argv[1], folder=Path(sys.argv[1])) as log: log.metrics({'loss': 1.0}, 1)"
    )
    names = [str(tmp_path / name) for name in "abc"]
    started = [subprocess.Popen([sys.executable, "-c", code, name], stderr=subprocess.PIPE) for name in names]
    said = [process.communicate()[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert not [line for line in said if "does not take" in line]
    client = client_of(store_of(None, tmp_path / "a"))
    experiment = client.get_experiment_by_name("tts")
    runs = client.search_runs([experiment.experiment_id])
    assert [run.data.metrics["loss"] for run in runs] == [1.0] * 3
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "a", "b", "c"}


def test_a_driver_that_is_missing_is_named(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow.tracking

    def without_driver(**_: Any) -> None:
        raise ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2")

    monkeypatch.setattr("dubflow.registry.tracking_store._knock", lambda store: None)  # it does answer
    monkeypatch.setattr(mlflow.tracking, "MlflowClient", without_driver)
    with pytest.raises(WrongUse, match="psycopg2") as caught:
        client_of(store_of("postgresql://db.example.org/mlflow", tmp_path / "a"))
    assert caught.value.code == "registry.no_driver"
