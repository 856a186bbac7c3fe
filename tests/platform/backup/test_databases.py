"""What needs no registry: a copy of one moment, and where things are found."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from deployments import settings
from dubflow.errors import BadInput, WrongUse
from dubflow.platform.backup import databases
from dubflow.platform.backup.creating import create_backup
from dubflow.platform.backup.settings import PARTS, program, reachable, sources
from dubflow.storage import Objects


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings(monkeypatch, tmp_path / "home")
    return tmp_path / "home"


def test_a_copy_is_of_one_moment_while_others_write(tmp_path: Path) -> None:
    path = tmp_path / "busy.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE a (n INTEGER)")
        connection.execute("CREATE TABLE b (n INTEGER)")
    stop = threading.Event()

    def write() -> None:
        with sqlite3.connect(path, timeout=60) as own:
            while not stop.wait(0.001):
                own.execute("BEGIN IMMEDIATE")
                own.execute("INSERT INTO a VALUES (1)")
                own.execute("INSERT INTO b VALUES (1)")
                own.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            facts = databases.dump(f"sqlite:///{path}", tmp_path / f"{number}.db")
            assert facts.rows["a"] == facts.rows["b"]
    finally:
        stop.set()
        writer.join()


def test_what_cannot_be_copied_is_said(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Objects((tmp_path / "store").as_uri())
    with pytest.raises(BadInput, match="no_database"):
        create_backup(store, sources(), PARTS)
    with pytest.raises(WrongUse, match="backup_other_database"):
        databases.kind_of("mysql://x/y")
    monkeypatch.setenv("DUBFLOW_MLFLOW_URI", "http://127.0.0.1:9")
    with pytest.raises(WrongUse, match="DUBFLOW_BACKUP_REGISTRY"):
        sources()
    monkeypatch.setenv("DUBFLOW_BACKUP_REGISTRY", "postgresql://mlflow:secret@db/mlflow")
    with pytest.raises(WrongUse, match="backup_needs_artifacts"):
        sources()
    monkeypatch.setenv("DUBFLOW_BACKUP_ARTIFACTS", "s3://models/mlflow")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://minio:9000")
    monkeypatch.setenv("DUBFLOW_REGISTRY_JOURNAL", "postgresql://mlflow:secret@db/history")
    found = sources()
    assert [one.name for one in found.databases] == ["journal", "mlflow", "gateway"], "the journal comes first"
    assert found.trees[0].address == "s3://models/mlflow?scheme=http&endpoint_override=minio:9000"
    assert "secret" not in databases.shown(found.databases[1].address)
    assert reachable("/models") == "file:///models"
    monkeypatch.setenv("DUBFLOW_BACKUP_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(WrongUse, match="no_postgres_programs"):
        program("pg_dump")
