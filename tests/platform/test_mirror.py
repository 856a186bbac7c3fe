"""Checkpoints in a storage: a run goes on from them in another place, and a storage that fails costs it nothing."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from diflow.training.room import STEPS, Room, Running, equal, shared_room, weights
from dubflow.diflow.training.run import TrainReport, train
from dubflow.errors import OurFault, WrongUse
from dubflow.platform.mirror import Mirror, mirrored
from dubflow.platform.storage import Storage
from dubflow.tracking import read_metrics
from dubflow.training.checkpoints import checkpoint_path, checkpoints, step_of
from fake_s3 import running

Uri = Callable[[str], str]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


@pytest.fixture(scope="module")
def whole(room: Room, tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    """A finished run that nothing disturbed, with its last two checkpoints."""
    return train(room.task(), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(params=["file", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Uri]:
    """Addresses in a folder, and in a server of the same protocol as Amazon's."""
    if request.param == "file":
        yield lambda path: (tmp_path / "storage" / path).as_uri()
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "tests")
    with running() as server:
        yield server.uri


def lost(whole: TrainReport, folder: Path, *steps: int) -> Path:
    """The folder of the run as it was after some steps."""
    folder.mkdir()
    shutil.copy(whole.model.parent / "run.json", folder)
    shutil.copytree(whole.model.parent / "logs", folder / "logs")
    for step in steps:
        (folder / "checkpoints").mkdir(exist_ok=True)
        shutil.copy(checkpoint_path(whole.model.parent / "checkpoints", step), folder / "checkpoints")
    return folder


def stored(whole: TrainReport, folder: Path, address: str, *steps: int) -> Storage:
    """A storage in which a run that is lost left checkpoints."""
    storage = Storage(address)
    for step in steps:
        assert Mirror(lost(whole, folder / f"at-{step}", step), storage, pytest.fail).save()
    return storage


@pytest.mark.slow
def test_a_run_goes_on_in_another_folder_from_what_was_stored(
    room: Room, whole: TrainReport, tmp_path: Path, uri: Uri
) -> None:
    address, notes = uri("bucket/a-run"), list[str]()
    storage = stored(whole, tmp_path, address, 9)
    here = tmp_path / "here"
    with mirrored(here, address, notes.append):
        report = train(room.task(), here)
    assert (report.resumed_at, report.found) == (9, False)
    assert any("after step 9 comes from" in note for note in notes)
    assert equal(weights(report.model), weights(whole.model))
    assert storage.names() == ["model", "step-00000009", "step-00000012"]
    logs = [read_metrics(each.parent / "logs" / "metrics.jsonl") for each in (report.model, whole.model)]
    assert logs[0] == logs[1]

    again = tmp_path / "again"
    with mirrored(again, address, notes.append):
        report = train(room.task(), again)
    assert report.found
    assert {path.name: path.read_bytes() for path in report.model.iterdir() if path.is_file()} == {
        path.name: path.read_bytes() for path in (here / "model").iterdir() if path.is_file()
    }


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a byte": lambda part: _flip(next(part.glob("checkpoints/*"))),
    "missing": lambda part: next(part.glob("checkpoints/*")).unlink(),
    "half a manifest": lambda part: (part / "manifest.json").write_text('{"format": "dubflow.stored'),
    "out of the run": lambda part: (part / "manifest.json").write_text(
        (part / "manifest.json").read_text().replace('"run.json"', '"../../run.json"')
    ),
}


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(
    room: Room, whole: TrainReport, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "storage"
    storage = stored(whole, tmp_path, folder.as_uri(), 9, 12)
    DAMAGES[damage](folder / "step-00000012")
    here, notes = tmp_path / "here", list[str]()
    with mirrored(here, folder.as_uri(), notes.append):
        report = train(room.task(), here)
    assert "damaged" in notes[0]
    assert report.resumed_at == 9
    assert equal(weights(report.model), weights(whole.model))
    assert storage.names() == ["model", "step-00000009", "step-00000012"], "the damaged one is made again"
    assert not (tmp_path.parent / "run.json").exists()


def test_what_the_folder_has_is_newer(room: Room, whole: TrainReport, tmp_path: Path) -> None:
    address = (tmp_path / "storage").as_uri()
    storage = stored(whole, tmp_path, address, 9)
    here = lost(whole, tmp_path / "here", 12)
    with mirrored(here, address, pytest.fail):
        assert train(room.task(), here).resumed_at == 12
    assert storage.names() == ["model", "step-00000009", "step-00000012"]


def test_the_last_two_are_kept_and_a_step_is_stored_once(whole: TrainReport, tmp_path: Path) -> None:
    storage = stored(whole, tmp_path, (tmp_path / "storage").as_uri(), 9, 12)
    late = lost(whole, tmp_path / "late", 12)
    before = (tmp_path / "storage/step-00000012/manifest.json").stat().st_mtime_ns
    assert Mirror(late, storage, pytest.fail).save()
    assert (tmp_path / "storage/step-00000012/manifest.json").stat().st_mtime_ns == before
    checkpoint_path(late / "checkpoints", 12).rename(checkpoint_path(late / "checkpoints", 15))
    mirror = Mirror(late, storage, pytest.fail)
    assert mirror.save()
    assert not mirror.save()
    assert storage.names() == ["step-00000012", "step-00000015"]


def test_the_storage_of_another_run_is_refused(room: Room, whole: TrainReport, tmp_path: Path) -> None:
    address = (tmp_path / "storage").as_uri()
    storage = stored(whole, tmp_path, address, 12)
    other = tmp_path / "other"
    train(room.task(seed=4), other)
    shutil.rmtree(other / "model")
    shutil.rmtree(other / "checkpoints")
    with pytest.raises(WrongUse, match=r"platform\.mirror_of_other_run"), mirrored(other, address, pytest.fail):
        pytest.fail("it must not begin")
    assert storage.names() == ["step-00000012"]
    assert not checkpoints(other / "checkpoints")


def test_a_storage_that_is_away_costs_the_training_nothing(room: Room, whole: TrainReport, tmp_path: Path) -> None:
    folder, notes = tmp_path / "storage", list[str]()
    with mirrored(tmp_path / "here", folder.as_uri(), notes.append, pause_s=0.01):
        folder.write_text("no folder")
        report = train(room.task(), tmp_path / "here")
        folder.unlink()
    assert equal(weights(report.model), weights(whole.model))
    assert Storage(folder.as_uri()).names() == ["model", "step-00000012"], "written when it was back"

    with mirrored(tmp_path / "there", (tmp_path / "other").as_uri(), notes.append, pause_s=0.01):
        (tmp_path / "other").write_text("no folder")
        report = train(room.task(), tmp_path / "there")
    assert equal(weights(report.model), weights(whole.model))
    assert "is behind" in notes[-1]


def test_refused_twice_it_is_tried_again(whole: TrainReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "tests")
    with running() as server:
        notes: list[str] = []
        mirror = Mirror(whole.model.parent, Storage(server.uri("bucket/run")), notes.append, 0.01)
        server.refusing = 2
        mirror.finish(5)
        assert len(notes) == 2
        assert all("Trying again" in note and "storage.failed" in note for note in notes)
        assert mirror.storage.names() == ["model", "step-00000012"]


def test_not_knowing_what_is_stored_it_does_not_begin_anew(whole: TrainReport, tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("no folder")
    address, notes = (tmp_path / "storage").as_uri(), list[str]()
    with pytest.raises(OurFault) as error, mirrored(tmp_path / "new", address, notes.append, pause_s=0.001):
        pytest.fail("it must not begin")
    assert error.value.code == "storage.failed"
    assert error.value.retryable
    here = lost(whole, tmp_path / "here", 9)
    with mirrored(here, address, notes.append, pause_s=0.001):
        assert any("Going on with what" in note for note in notes)


@pytest.mark.slow
def test_killed_while_it_trains_it_goes_on_in_another_folder(room: Room, tmp_path: Path) -> None:
    steps, address = 150, (tmp_path / "storage").as_uri()
    expected = weights(train(room.task(steps=steps), tmp_path / "whole").model)
    preset, told, storage = room.preset(tmp_path, steps=steps), tmp_path / "told.txt", Storage(address)
    first = Running([*room.words("tts", tmp_path / "here", preset), "--mirror", address], told)
    assert first.send_when(lambda: bool(storage.names()), signal.SIGKILL) == -signal.SIGKILL
    shutil.rmtree(tmp_path / "here")
    (newest,) = storage.names()[-1:]
    assert Running([*room.words("tts", tmp_path / "there", preset), "--mirror", address], told).end() == 0
    assert f"Going on after step {step_of(Path(newest))} of {steps}" in told.read_text()
    assert equal(weights(tmp_path / "there" / "model"), expected)
    kept = storage.names()  # which one beside the last depends on how long an upload takes
    assert (kept[0], kept[-1]) == ("model", "step-00000150")
    assert len(kept) <= 4, "the last two, and one that is on its way out"


def on_two_nodes(room: Room, folders: list[Path], told: Path, *more: str) -> list[int]:
    """Two nodes of one process, each with a folder of its own; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    preset = room.preset(told, nodes=2, batch_items=1)
    nodes = [
        Running(
            [*room.words("tts", folder, preset), *more], told / f"told.{rank}.txt", **shared, RANK=str(rank),
            LOCAL_RANK="0", GROUP_RANK=str(rank), LOCAL_WORLD_SIZE="1", TORCHELASTIC_RUN_ID="tests",
        )
        for rank, folder in enumerate(folders)
    ]  # fmt: skip
    return [node.end() for node in nodes]


@pytest.mark.slow
def test_nodes_without_a_shared_folder_go_on_from_the_first_ones_checkpoint(room: Room, tmp_path: Path) -> None:
    folders = [tmp_path / "node-0", tmp_path / "node-1"]
    assert on_two_nodes(room, folders, tmp_path) == [0, 0], (tmp_path / "told.1.txt").read_text()
    expected = weights(folders[0] / "model")
    assert not (folders[1] / "model").exists(), "the first alone writes"
    checkpoint_path(folders[0] / "checkpoints", STEPS).unlink()
    shutil.rmtree(folders[0] / "model")

    assert on_two_nodes(room, folders, tmp_path)[1] == 4, "it must not go on from other weights than the first"
    assert "The first process goes on after step 9" in (tmp_path / "told.1.txt").read_text()

    (tmp_path / "told.1.txt").unlink()
    address = (tmp_path / "storage").as_uri()
    assert on_two_nodes(room, folders, tmp_path, "--mirror", address) == [0, 0]
    assert equal(weights(folders[0] / "model"), expected)
    assert [step_of(path) for path in checkpoints(folders[1] / "checkpoints")] == [9]
