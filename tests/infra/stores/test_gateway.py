"""The whole service, jobs in Postgres and files in S3: real dubs of the starter, end to end, over a restart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from chaos.service import Client, new_key
from dubflow.gateway.database import Database
from dubflow.gateway.retention import Retention
from dubflow.gateway.uploads import UploadStore
from dubflow.platform.serving_stack import plan_stack, port_of
from dubflow.platform.serving_status import start_detached, stop_stack
from dubflow.serving.golden import CLIP
from dubflow.serving.options import ServeOptions
from dubflow.serving.state import read_state
from dubflow.storage import Objects
from real_s3 import S3

pytestmark = pytest.mark.slow
WITHIN_S = 180.0
BUCKET = "clips"
DRAFT = {"quality": "draft", "options": {"no_face": "speak"}}


class Service:
    """A server in a folder, which may be started again."""

    def __init__(self, directory: Path, database: str) -> None:
        self.directory, self.database, self.key = directory, database, ""

    def up(self) -> Client:
        """Start it; a client."""
        # In-process: which engine speaks has nothing to do with where jobs and files lie.
        start_detached(
            plan_stack(self.directory, ServeOptions(model="starter"), mode="in-process", port=0),
            WITHIN_S,
            lambda _: None,
        )
        port = port_of(read_state(self.directory))
        assert port is not None
        self.key = self.key or new_key(self.directory)
        return Client(port, self.key)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What Postgres answers."""
        with psycopg.connect(self.database.replace("+psycopg", "")) as connection:
            return connection.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def service(
    tmp_path: Path, postgres: Callable[[str], str], s3: S3, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    database = postgres("gateway")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DUBFLOW_GATEWAY_DATABASE", database)
    monkeypatch.setenv("DUBFLOW_GATEWAY_FILES", s3.uri(f"{s3.bucket(BUCKET)}/dubs"))
    made = Service(tmp_path / "serve", database)
    try:
        yield made
    finally:
        stop_stack(made.directory, 60)


def test_dubs_with_jobs_in_postgres_and_files_in_s3(service: Service, s3: S3, tmp_path: Path) -> None:
    client = service.up()
    clip = client.upload(CLIP)
    (stored,) = s3.keys(BUCKET, "dubs/uploads")
    assert hashlib.sha256(s3.body(BUCKET, stored)).digest() == hashlib.sha256(CLIP.read_bytes()).digest()

    job = client.insist(clip, "once", **DRAFT)
    (ended,) = client.ended([job], WITHIN_S)
    assert ended["state"] == "done", ended
    result = client.ask("GET", f"/v1/dubs/{job}/result").json
    video = result["files"]["video"]
    answer = client.ask("GET", video["url"])
    assert hashlib.sha256(answer.body).hexdigest() == video["sha256"]
    # What the caller gets is what lies in the bucket; nothing lies in the state folder.
    assert answer.body in [s3.body(BUCKET, key) for key in s3.keys(BUCKET, f"dubs/jobs/{job}")]
    assert not (service.directory / "files").exists()
    assert not (service.directory / "gateway.db").exists()
    assert service.rows("SELECT id, state FROM jobs") == [(job, "done")]

    # Everything that counts is in the two stores: a server in another folder goes on with it.
    stop_stack(service.directory, 60)
    service.directory = tmp_path / "elsewhere"
    again = service.up()
    assert again.job(job)["state"] == "done"
    assert again.insist(clip, "once", **DRAFT) == job
    assert again.ask("GET", video["url"]).body == answer.body

    # When its time has come a job's files leave the bucket, and the job says so.
    database, objects = Database(service.database), Objects(s3.uri(f"{BUCKET}/dubs"))
    Retention(database, objects, UploadStore(database, objects), days=1e-6).run()
    database.close()
    left = s3.keys(BUCKET, "dubs/jobs")
    # Arrow leaves an empty object, named like a folder, above what it has removed.
    assert [key for key in left if not key.endswith("/")] == []
    assert [s3.body(BUCKET, key) for key in left] == [b""] * len(left)
    assert again.ask("GET", video["url"]).status == 410
