"""The champion serves, within one look; what is broken is refused by name while the one before it answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dubflow.errors import OurFault
from dubflow.registry.models import Registry
from dubflow.registry.package.signing import generate_key
from dubflow.registry.tracking_store import DATABASE, store_of
from dubflow.serving.export import MODEL as FOLDER
from dubflow.serving.export import Exported
from dubflow.serving.patience import WatchSettings
from dubflow.serving.source import RegistrySource, Wanted
from dubflow.serving.state import ServingState, read_state, write_state
from dubflow.serving.watcher import MODELS, Watcher
from registry.packages import MODEL
from serving.releasing import MemoryServer, Releases, export

SETTINGS = WatchSettings(again_s=10, again_most_s=25, ahead=False)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_key(tmp_path_factory.mktemp("keys") / "release")


@pytest.fixture
def releases(template: Path, tmp_path: Path, key: Path) -> Releases:
    home = tmp_path / "registry"
    home.mkdir()
    shutil.copyfile(template, home / DATABASE)
    return Releases(Registry(store_of(None, home / "models"), lambda _: None), tmp_path / "packages", key)


class Place:
    """A server's folder, its server, and a watcher that can be killed and begin again."""

    def __init__(self, directory: Path, releases: Releases) -> None:
        self.directory, self.releases, self.server = directory, releases, MemoryServer()
        self.now, self.said = 0.0, list[str]()
        write_state(directory, ServingState(mode="triton", model=MODEL))
        self.watcher = self.new_watcher()

    def new_watcher(self, source: Any = None, settings: WatchSettings = SETTINGS, export_: Any = export) -> Watcher:
        source = source or RegistrySource(self.releases.registry, MODEL, [self.releases.key])
        return Watcher(
            self.directory, source, self.server, settings, say=self.said.append, clock=lambda: self.now, export=export_
        )

    @property
    def state(self) -> ServingState:
        return read_state(self.directory)

    @property
    def versions(self) -> tuple[int | None, int | None]:
        state = self.state
        current, previous = state.current, state.previous
        return current and current.version, previous and previous.version


@pytest.fixture
def place(tmp_path: Path, releases: Releases) -> Place:
    return Place(tmp_path / "serve", releases)


def test_who_is_champion_serves_and_the_one_before_stays_loaded(place: Place) -> None:
    assert not place.watcher.look(), "nobody is champion yet"
    versions = [place.releases.release(seed) for seed in range(3)]
    assert place.watcher.look()
    assert place.versions == (versions[2], None)
    assert place.state.health is not None
    fourth = place.releases.release(3)
    assert place.watcher.look()
    assert place.versions == (fourth, versions[2])
    assert place.server.loaded == {fourth, versions[2]}
    fifth = place.releases.release(4)
    assert place.watcher.look()
    assert place.server.loaded == {fifth, fourth}, "older ones are unloaded"
    assert len(list((place.directory / MODELS).iterdir())) == 2
    assert not place.watcher.look(), "nothing has changed"
    current = place.state.current
    assert current is not None
    assert current.package == place.releases.registry.journal.state(MODEL).package(fifth)
    assert place.state.counts.switches == 3


def test_going_back_loads_nothing(place: Place) -> None:
    first = place.releases.release(0)
    place.watcher.look()
    second = place.releases.release(1)
    place.watcher.look()
    place.releases.rollback()
    place.server.calls.clear()
    assert place.watcher.look()
    assert place.versions == (first, second)
    assert place.server.calls == []


@pytest.mark.parametrize("broken", ["load", "sound"])
def test_a_version_that_fails_in_the_server_is_refused_and_the_old_one_answers(place: Place, broken: str) -> None:
    first = place.releases.release(0)
    place.watcher.look()
    bad = place.releases.register(1)
    (place.server.fails_to_load if broken == "load" else place.server.speaks_otherwise).add(bad)
    place.releases.promote(bad)
    assert not place.watcher.look()
    assert place.versions == (first, None)
    assert place.server.loaded == {first}
    (refused,) = place.state.refused
    assert refused.version == bad
    assert refused.code == ("serving.not_loaded" if broken == "load" else "serving.golden_differs")
    assert any(f"version {bad} is refused" in line for line in place.said)


def test_a_refused_version_is_tried_again_later_and_later_or_when_the_registry_changes(place: Place) -> None:
    bad = place.releases.register(0)
    place.server.fails_to_load.add(bad)
    place.releases.promote(bad)
    tried = []
    for second in range(70):
        place.now = float(second)
        before = place.state.counts.refusals
        place.watcher.look()
        if place.state.counts.refusals > before:
            tried.append(second)
    assert tried == [0, 10, 30, 55], "pauses of 10, 20, then the most, 25"
    place.releases.register(1)  # something has changed there
    before = place.state.counts.refusals
    place.watcher.look()
    assert place.state.counts.refusals == before + 1
    assert place.state.refused[0].tries == 5
    place.server.fails_to_load.clear()
    place.now += 1000
    assert place.watcher.look()
    assert place.state.refused == ()


def test_files_that_were_changed_or_signed_by_others_never_reach_the_server(place: Place, tmp_path: Path) -> None:
    first = place.releases.release(0)
    place.watcher.look()
    stranger = generate_key(tmp_path / "stranger")
    strange = place.new_watcher(RegistrySource(place.releases.registry, MODEL, [stranger]))
    second = place.releases.release(1)
    assert not strange.look()
    assert place.state.refused[0].code == "registry.package_other_signer"
    version = place.releases.registry.version(MODEL, second)
    with place.releases.registry.files(version) as folder:
        (folder / "card.md").write_text("# Another card\n")
    place.now += 1000
    assert not place.watcher.look()
    assert place.state.refused[0].code == "registry.package_changed"
    assert place.versions == (first, None)
    assert place.server.laid_out == {first}


class Killed(BaseException):
    """The process ends here."""


_AT = ("bring", "export", "install", "load", "dub", "remove")


@pytest.mark.parametrize("at", [one if one == "load" else pytest.param(one, marks=pytest.mark.slow) for one in _AT])
def test_a_watcher_that_is_killed_anywhere_finds_its_way(
    place: Place, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    versions = [place.releases.release(0), place.releases.release(1)]
    place.watcher.look()
    versions.append(place.releases.release(2))
    place.watcher.look()
    last = place.releases.release(3)

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        watcher = place.new_watcher(export_=killed if at == "export" else export)
        if at == "bring":
            patch.setattr(RegistrySource, "bring", killed)
        elif at != "export":
            patch.setattr(MemoryServer, at, killed)
        with pytest.raises(Killed):
            watcher.look()
    place.server.restarted()  # both die together, in the worst case
    again = place.new_watcher()
    again.recover()
    assert place.versions[0] in (versions[2], last)
    assert place.versions[0] in place.server.loaded, "somebody answers before anything new is tried"
    again.look()
    assert place.versions == (last, versions[2])
    assert place.server.loaded == {last, versions[2]}


def test_what_cannot_be_brought_back_leaves_the_one_before_it_serving(place: Place) -> None:
    first = place.releases.release(0)
    place.watcher.look()
    second = place.releases.release(1)
    place.watcher.look()
    assert place.versions == (second, first)
    place.server.restarted()
    place.server.fails_to_load.add(second)
    again = place.new_watcher()
    again.recover()
    assert place.versions == (first, None)
    place.server.fails_to_load.clear()
    assert again.look(), "it is champion, so it is tried again"
    assert place.versions == (second, first)


def test_a_registry_that_is_away_stops_nothing_and_is_said_once(place: Place) -> None:
    first = place.releases.release(0)
    place.watcher.look()

    class Away:
        def wanted(self) -> Wanted:
            raise OurFault("registry.journal_unreachable", "It is away.")

    away = place.new_watcher(Away())
    place.said.clear()
    assert not any(away.look() for _ in range(5))
    assert place.versions == (first, None)
    assert len(place.said) == 1


def test_a_registry_that_names_nobody_stops_nothing_and_is_said_once(place: Place) -> None:
    first = place.releases.release(0)
    place.watcher.look()

    class Empty:
        def wanted(self) -> None:
            return None

        def next_one(self) -> None:
            return None

    emptied = place.new_watcher(Empty())
    place.said.clear()
    assert not any(emptied.look() for _ in range(5))
    assert place.versions == (first, None)
    assert place.said == [f"the registry names nobody; version {first} goes on serving"]


def test_files_that_cannot_be_reached_now_are_no_fault_of_the_version(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = place.releases.release(0)

    def unreachable(*_: Any) -> None:
        raise OurFault("registry.unreachable", "It is away.")

    with monkeypatch.context() as patch:
        patch.setattr(RegistrySource, "bring", unreachable)
        place.watcher.look()
    assert place.state.refused == ()
    place.now += 1000
    assert place.watcher.look()
    assert place.versions == (version, None)


def test_a_challenger_is_made_ready_before_it_is_promoted(place: Place) -> None:
    exported: list[int] = []

    def counting(folder: Path, version: int) -> Exported:
        exported.append(version)
        return export(folder, version)

    watcher = place.new_watcher(settings=SETTINGS.model_copy(update={"ahead": True}), export_=counting)
    first = place.releases.release(0)
    watcher.look()
    second = place.releases.register(1)
    assert not watcher.look()
    assert exported == [first, second]
    assert place.server.laid_out == {first}, "it is checked, not loaded"
    place.releases.promote(second)
    assert watcher.look()
    assert exported == [first, second]
    assert place.versions == (second, first)
    assert (place.directory / MODELS).is_dir()
    assert all((folder / FOLDER).is_dir() for folder in (place.directory / MODELS).iterdir())
