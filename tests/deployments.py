"""A small deployment to copy and to bring back: two champions one after the other, jobs in every state, files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from dubflow.gateway.jobs.job import Job
from dubflow.registry.history import Entry
from dubflow.registry.models import Registry, open_registry
from dubflow.registry.package.signing import generate_key
from dubflow.registry.promoting import Override, promote
from dubflow.registry.registering import register
from jobs_room import Room, open_room
from registry.packages import MODEL, packed

OTHERS = (
    "DUBFLOW_TRUSTED_KEYS", "DUBFLOW_LICENCES", "DUBFLOW_VERDICT_KEYS", "DUBFLOW_REGISTRY_JOURNAL",
    "DUBFLOW_MLFLOW_ARTIFACTS", "DUBFLOW_BACKUP_REGISTRY", "DUBFLOW_BACKUP_ARTIFACTS", "DUBFLOW_GATEWAY_DATABASE",
    "DUBFLOW_GATEWAY_FILES", "MLFLOW_S3_ENDPOINT_URL",
)  # fmt: skip


@dataclass(frozen=True)
class Deployment:
    """What is there before the disaster.

    Attributes:
        done, waiting, running: jobs: one that ended, one that waits, and one whose worker is lost.
    """

    key: Path
    entries: tuple[Entry, ...]
    aliases: dict[str, int]
    packages: tuple[str, str]
    done: str
    waiting: str
    running: str

    @property
    def public(self) -> Path:
        """The key that packages are signed by."""
        return self.key.with_suffix(".pub")


def settings(patch: pytest.MonkeyPatch, home: Path, **more: str) -> None:
    """Point every setting of registry and gateway below ``home``, or to where ``more`` says."""
    for name in OTHERS:
        patch.delenv(name, raising=False)
    home.mkdir(parents=True, exist_ok=True)
    given = {"DUBFLOW_HOME": str(home), "DUBFLOW_GATEWAY_STATE": str(home / "serve"),
             "DUBFLOW_MLFLOW_URI": f"sqlite:///{home}/mlflow.db"}  # fmt: skip
    for name, value in (given | more).items():
        patch.setenv(name, value)


def room(home: Path) -> Room:
    """The gateway's part; a lease is short, so that a lost worker's job is soon free."""
    return open_room(home / "serve", lease_s=0.2)


def fill(home: Path, keys: Path) -> Deployment:
    """Make it where the settings point."""
    key = keys / "key"
    if not key.exists():
        generate_key(key)
    registry = open_registry(note=lambda _: None)
    packages = []
    for seed in (1, 2):
        package = packed(keys / str(seed), key, seed)
        version = register(registry, package.folder, by="ada", trusted_keys=[key.with_suffix(".pub")]).version
        promote(registry, MODEL, version, None, by="ada", override=Override("for a test"))
        packages.append(package.digest)
    third = packed(keys / "3", key, 3)
    register(registry, third.folder, by="ada", trusted_keys=[key.with_suffix(".pub")])
    jobs = room(home)
    done = jobs.submit(text="one")
    assert work(jobs, "first") == 1
    running, waiting = (jobs.submit(text=text) for text in ("two", "three"))
    lost = jobs.queue.lease("lost")
    assert lost is not None
    assert lost.job.id == running
    assert jobs.store.get("acme", done).state == "done"
    jobs.database.close()
    return Deployment(
        key, registry.history(MODEL), dict(registry.state(MODEL).aliases), (packages[0], packages[1]), done, waiting,
        running,
    )  # fmt: skip


def work(jobs: Room, name: str) -> int:
    """A worker does what is due; how many attempts it made."""
    worker = jobs.worker(name)
    worker.scratch.mkdir(parents=True, exist_ok=True)
    return worker.run(once=True)


def resumed(home: Path, was: Deployment) -> dict[str, Job]:
    """Jobs after a worker of the restored deployment has done what there is to do."""
    jobs = room(home)
    until = time.monotonic() + 30
    while jobs.store.counts(ended=False).queued or jobs.store.counts(ended=False).running:
        jobs.queue.take_back()
        work(jobs, "new")
        assert time.monotonic() < until
        time.sleep(0.05)
    found = {one: jobs.store.get("acme", one) for one in (was.done, was.running, was.waiting)}
    for one in found.values():
        assert one.state == "done", one
        assert one.result is not None
    jobs.database.close()
    return found


def champion_of(registry: Registry, into: Path, public: Path) -> str:
    """Digest of the champion's package, fetched with its signature checked."""
    return registry.fetch(MODEL, "champion", into, [public]).digest
