"""Backups: what is copied comes back whole, what is damaged is refused by name, what is there is not overwritten."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments import Deployment, champion_of, fill, resumed, room, settings
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.platform.backup import databases
from dubflow.platform.backup.creating import create_backup, files_of
from dubflow.platform.backup.manifest import ID, BackupManifest, backups, read_backup
from dubflow.platform.backup.proving import prove_registry
from dubflow.platform.backup.pruning import YOUNG_S, prune_backups
from dubflow.platform.backup.restoring import restore_backup, verify_backup
from dubflow.platform.backup.settings import PARTS, sources
from dubflow.registry.models import open_registry
from dubflow.registry.tracking_store import DATABASE
from dubflow.storage import Objects
from registry.packages import MODEL

pytestmark = pytest.mark.slow


class Copied:
    """A deployment that was filled and copied once; each test gets a copy of the backup."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, template: Path) -> None:
        home = folder / "home"
        settings(patch, home)
        shutil.copyfile(template, home / DATABASE)
        self.was: Deployment = fill(home, folder)
        self.home, self.folder = home, folder / "backups"
        self.made: BackupManifest = create_backup(Objects(self.folder.as_uri()), sources(), PARTS)


@pytest.fixture(scope="module")
def copied(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Copied:
    folder = tmp_path_factory.mktemp("deployment")
    with pytest.MonkeyPatch.context() as patch:
        return Copied(folder, patch, template)


@pytest.fixture
def store(copied: Copied, tmp_path: Path) -> Objects:
    shutil.copytree(copied.folder, tmp_path / "store")
    return Objects((tmp_path / "store").as_uri())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another machine: nothing is there, and everything lies elsewhere than it did."""
    settings(monkeypatch, tmp_path / "new home")
    return tmp_path / "new home"


def test_everything_comes_back_on_another_machine(copied: Copied, store: Objects, home: Path, tmp_path: Path) -> None:
    was = copied.was
    done = restore_backup(store, read_backup(store, "newest"), sources(), PARTS)
    assert (done.skipped, done.moved > 0, done.files) == ((), True, sum(len(one.files) for one in copied.made.trees))
    registry = open_registry(note=lambda _: None)
    (proof,) = prove_registry(registry, done.models, [was.public])
    assert (proof.champion, proof.package, proof.entries) == (2, was.packages[1], len(was.entries))
    assert proof.signed_by is not None
    assert registry.history(MODEL) == was.entries
    assert dict(registry.state(MODEL).aliases) == was.aliases
    assert registry.version(MODEL, "champion").source.startswith(home.as_uri()), "it is read from the new place"
    shutil.move(copied.home, tmp_path / "away")  # and from nowhere else
    try:
        assert champion_of(registry, tmp_path / "fetched", was.public) == was.packages[1]
        assert registry.read_files(registry.version(MODEL, "previous"), [was.public]).digest == was.packages[0]
        before = room(home).store.get("acme", was.done)
        after = resumed(home, was)
    finally:
        shutil.move(tmp_path / "away", copied.home)
    assert after[was.done].result == before.result, "what was done is not done again"
    assert after[was.running].attempts == 2, "the lost worker's try counts, and another does it"


def test_the_backup_says_what_it_has(copied: Copied) -> None:
    made = copied.made
    assert ID.fullmatch(made.id)
    assert [one.name for one in made.databases] == ["mlflow", "gateway"]
    assert {one.name: one.facts.jobs for one in made.databases}["gateway"] == {"done": 1, "queued": 1, "running": 1}
    (model,) = made.databases[0].facts.models
    assert (model.model, model.champion, model.digest) == (MODEL, 2, copied.was.entries[-1].digest)
    assert not any(tree.vanished for tree in made.trees)


def test_a_second_backup_copies_what_is_new_only(
    copied: Copied, store: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(monkeypatch, copied.home)
    second = create_backup(store, sources(), PARTS, clock=lambda: datetime.now(UTC) + timedelta(seconds=1))
    assert (second.copied_bytes, copied.made.copied_bytes > 0) == (0, True)
    assert backups(store) == [copied.made.id, second.id]
    assert read_backup(store, "newest") == second


def test_every_damaged_file_is_named_and_nothing_is_restored(copied: Copied, store: Objects, home: Path) -> None:
    root, made = store.folder, copied.made
    assert root is not None
    every = [one for one in sorted(root.rglob("*")) if one.is_file() and one.name != "manifest.json"]
    assert len(every) > 10
    for path in every:
        content = path.read_bytes()
        for spoilt in (content[:-1] + bytes([content[-1] ^ 1]) if content else b"x", None):
            if spoilt is None:
                path.unlink()
            else:
                path.write_bytes(spoilt)
            with pytest.raises(BadInput, match=r"backup_damaged") as refused:
                restore_backup(store, made, sources(), PARTS)
            assert path.name in refused.value.headline
            assert made.id in refused.value.headline
        path.write_bytes(content)
    assert not list(home.rglob("*.db"))
    assert not list(home.rglob("*.safetensors"))
    assert verify_backup(store, made) > 0
    manifest = root / "backups" / made.id / "manifest.json"
    manifest.write_text(manifest.read_text()[:-40])
    with pytest.raises(BadInput, match="its manifest does not read"):
        read_backup(store, "newest")
    manifest.unlink()
    with pytest.raises(BadInput, match="no_backup"):
        read_backup(store, made.id)


def test_nothing_is_overwritten(copied: Copied, store: Objects, home: Path) -> None:
    restore_backup(store, copied.made, sources(), PARTS)
    again = restore_backup(store, copied.made, sources(), PARTS)
    assert (again.files, set(again.skipped)) == (0, {"mlflow", "gateway"}), "the very same is found"
    room(home).submit()
    with pytest.raises(WrongUse, match="target_not_empty"):
        restore_backup(store, copied.made, sources(), PARTS)
    (home / "serve" / "gateway.db").unlink()
    for left in home.glob("serve/gateway.db-*"):
        left.unlink()
    clip = home / "serve" / "files" / "uploads" / "clip"
    clip.write_bytes(b"another")
    with pytest.raises(WrongUse, match="uploads/clip"):
        restore_backup(store, copied.made, sources(), PARTS)


def test_one_that_was_killed_goes_on(
    copied: Copied, store: Objects, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    calls, load = 0, databases.load

    def killed(url: str, file: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed
        load(url, file)

    monkeypatch.setattr(databases, "load", killed)
    with pytest.raises(Killed):
        restore_backup(store, copied.made, sources(), PARTS)
    done = restore_backup(store, copied.made, sources(), PARTS)
    assert (done.skipped, done.files) == (("mlflow",), 0)
    prove_registry(open_registry(note=lambda _: None), done.models, [copied.was.public])
    resumed(home, copied.was)


def test_one_that_was_interrupted_is_no_backup(copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(monkeypatch, copied.home)
    store = Objects((tmp_path / "store").as_uri())

    class Full(Objects):
        left = 5

        def put(self, key: str, content: Path | bytes) -> dict[str, object]:
            self.left -= 1
            if not self.left:
                raise OurFault("storage.failed", "The disk is full.")
            return super().put(key, content)

    with pytest.raises(OurFault, match="disk is full"):
        create_backup(Full(store.uri), sources(), PARTS)
    assert backups(store) == []
    with pytest.raises(BadInput, match="no_backup"):
        read_backup(store, "newest")
    assert create_backup(store, sources(), PARTS).id == backups(store)[0]


def test_parts_alone(copied: Copied, store: Objects, home: Path) -> None:
    done = restore_backup(store, copied.made, sources(("jobs",)), ("jobs",))
    assert (done.models, done.jobs["done"]) == ((), 1)
    assert not (home / DATABASE).exists()
    done = restore_backup(store, copied.made, sources(("registry",)), ("registry",))
    assert [one.model for one in done.models] == [MODEL]


def test_a_part_that_was_not_copied_is_named(copied: Copied, home: Path, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    store = Objects((tmp_path / "other").as_uri())
    with monkeypatch.context() as patch:
        settings(patch, copied.home)
        made = create_backup(store, sources(("jobs",)), ("jobs",))
    with pytest.raises(BadInput, match="has no mlflow"):
        restore_backup(store, made, sources(), PARTS)


def test_files_of_jobs_may_go_meanwhile_and_those_of_the_registry_may_not(
    copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(copied.home, folder)
    settings(monkeypatch, folder)
    store = Objects((tmp_path / "store").as_uri())
    listed = files_of

    def with_a_ghost(storage: Objects) -> list[str]:
        return [*listed(storage), "zz/ghost"] if storage.uri.endswith(wanted) else listed(storage)

    monkeypatch.setattr("dubflow.platform.backup.creating.files_of", with_a_ghost)
    wanted = "/files"
    made = create_backup(store, sources(("jobs",)), ("jobs",))
    assert made.trees[0].vanished == ("zz/ghost",)
    wanted = "/mlflow-artifacts"
    with pytest.raises(BadInput, match="zz/ghost"):
        create_backup(store, sources(("registry",)), ("registry",))


def test_old_backups_go_and_what_others_need_stays(
    copied: Copied, store: Objects, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        shutil.copytree(copied.home, tmp_path / "copy")
        settings(patch, tmp_path / "copy")
        files = tmp_path / "copy" / "serve" / "files" / "uploads"
        (files / "clip").rename(files / "moved")
        (files / "new").write_bytes(b"of the second backup alone")
        second = create_backup(store, sources(), PARTS, clock=lambda: datetime.now(UTC) + timedelta(seconds=1))
    later = time.time() + 2 * YOUNG_S
    root = store.folder
    assert root is not None
    (root / "backups" / "20200101T000000000Z").mkdir()
    (root / "backups" / "20200101T000000000Z" / "mlflow.sqlite").write_bytes(b"interrupted")
    assert prune_backups(store, 1).objects == 3, "dumps and manifest: what is young may be of a backup that is made now"
    assert backups(store) == [second.id]
    planned = prune_backups(store, 1, dry_run=True, now_s=later)
    assert (planned.backups, planned.objects >= 1, backups(store)) == ((), True, [second.id])
    assert prune_backups(store, 1, now_s=later) == planned
    assert prune_backups(store, 1, now_s=later).objects == 0
    assert not (root / "backups" / "20200101T000000000Z" / "mlflow.sqlite").exists()
    verify_backup(store, second)
    restore_backup(store, second, sources(), PARTS)
    assert (home / "serve" / "files" / "uploads" / "new").read_bytes() == b"of the second backup alone"
    with pytest.raises(WrongUse, match="keeps_no_backup"):
        prune_backups(store, 0)
