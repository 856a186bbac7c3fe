"""The whole disaster: Postgres and S3 are destroyed, others are started, and everything goes on from the backup."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import real_postgres
import real_s3
from deployments import champion_of, fill, resumed, room, settings
from dubflow.cli import main as program
from dubflow.errors import OurFault, WrongUse
from dubflow.platform.backup import databases
from dubflow.platform.backup.settings import sources
from dubflow.registry.models import open_registry
from real_s3 import S3
from registry.packages import MODEL
from verbs import Answer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(real_postgres.programs() is None, reason="Postgres is not installed (Debian: postgresql)"),
]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Runs a verb with --json in this process and gives its document; checks the exit code."""

    def run(*words: str | Path, exit_code: int = 0) -> dict[str, object]:
        monkeypatch.setattr("sys.argv", ["dubflow", *map(str, words), "--json"])
        capsys.readouterr()
        code = program._run()
        said = capsys.readouterr().out
        assert code == exit_code, said
        document: dict[str, object] = json.loads(said)
        return document

    return run


def databases_of(url: str, *names: str) -> list[str]:
    """Makes empty databases; their URLs."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for name in names:
            connection.execute(f'CREATE DATABASE "{name}"')
    return [url.replace("@/postgres?", f"@/{name}?") for name in names]


def point(patch: pytest.MonkeyPatch, home: Path, url: str, s3: S3) -> None:
    """Registry and gateway on two databases of a server and two buckets."""
    mlflow, gateway = databases_of(url, "mlflow", "gateway")
    settings(
        patch, home, **s3.environment, DUBFLOW_MLFLOW_URI=mlflow, DUBFLOW_GATEWAY_DATABASE=gateway,
        DUBFLOW_MLFLOW_ARTIFACTS=f"s3://{s3.bucket('models')}/mlflow",
        DUBFLOW_GATEWAY_FILES=s3.uri(f"{s3.bucket('clips')}/dubs"),
    )  # fmt: skip


def test_destroyed_and_restored(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    record_property: Callable[[str, object], None],
) -> None:
    out = tmp_path / "backups"
    with real_postgres.running() as url, real_s3.running() as s3:
        point(monkeypatch, tmp_path / "first", url, s3)
        was = fill(tmp_path / "first", tmp_path)
        before = room(tmp_path / "first").store.get("acme", was.done)
        planned = answer("backup", "create", "--out", out, "--dry-run")
        assert planned["dry_run"]
        assert not out.exists()
        made = answer("backup", "create", "--out", out)
        record_property("backup_s", made["seconds"])
    # Both servers are gone, with all that they held.
    with real_postgres.running() as url, real_s3.running() as s3:
        point(monkeypatch, tmp_path / "second", url, s3)
        assert answer("backup", "verify", out)["id"] == made["id"]
        done = answer("backup", "restore", out, "--trusted-key", was.public)
        record_property("restore_s", done["seconds"])
        (champion,) = done["champions"]
        assert (champion["champion"], champion["package"]) == (2, was.packages[1])
        assert champion["signed_by"]
        registry = open_registry(note=lambda _: None)
        assert registry.history(MODEL) == was.entries
        assert dict(registry.state(MODEL).aliases) == was.aliases
        assert champion_of(registry, tmp_path / "fetched", was.public) == was.packages[1]
        after = resumed(tmp_path / "second", was)
        assert after[was.done].result == before.result
        assert after[was.running].attempts == 2
        assert sorted(s3.keys("clips", "dubs/jobs"))
        # What is there is not overwritten, and a stranger's key is not believed.
        refused = answer("backup", "restore", out, exit_code=2)
        assert refused["error"]["code"] == "platform.target_not_empty"


def test_a_dump_is_of_one_moment_and_a_bad_one_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with real_postgres.running() as url:
        first, second = databases_of(url, "first", "second")
        settings(monkeypatch, tmp_path, DUBFLOW_GATEWAY_DATABASE=first)
        room(tmp_path).submit()
        source = sources(("jobs",)).databases[0]
        facts = databases.dump(source.address, tmp_path / "x.dump")
        room(tmp_path).submit()
        assert facts.jobs == {"queued": 1}
        content = (tmp_path / "x.dump").read_bytes()
        (tmp_path / "cut.dump").write_bytes(content[: len(content) // 2])
        with pytest.raises(OurFault, match="pg_restore"):
            databases.load(second, tmp_path / "cut.dump")
        assert databases.facts_of(second) is None, "nothing of it is there"
        databases.load(second, tmp_path / "x.dump")
        assert databases.facts_of(second) == facts
        wrong = first.replace("dubflow@", "nobody:secret@")
        with pytest.raises(OurFault, match="dump_failed") as refused:
            databases.dump(wrong, tmp_path / "y.dump")
        assert "secret" not in str(refused.value)
        with pytest.raises(WrongUse, match="backup_other_database"):
            databases.dump("mysql://somewhere/x", tmp_path / "z.dump")
