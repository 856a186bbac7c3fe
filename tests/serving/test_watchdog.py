"""What has died is seen at the next look and loaded again; a server that is gone is left to who started it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from dubflow.errors import OurFault
from dubflow.serving.export import FILE, MODEL, Exported
from dubflow.serving.heard import Heard
from dubflow.serving.patience import WatchSettings
from dubflow.serving.repository import MODELS
from dubflow.serving.source import Wanted
from dubflow.serving.state import Served, ServingState, now, read_state, update_state, write_state
from dubflow.serving.stubs import Stub
from dubflow.serving.watchdog import Watchdog, backend_failures
from dubflow.serving.watcher import Watcher
from serving.releasing import MemoryServer, heard

SERVER = 4711


class Nobody:
    """A source that wants no change."""

    def wanted(self) -> None:
        return None

    def next_one(self) -> None:
        return None

    def bring(self, wanted: Wanted, into: Path) -> None:
        raise AssertionError(wanted)


class Place:
    """A server with versions 2 (current) and 1 (previous), each model of which has two processes."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.server, self.now = directory, MemoryServer(), 0.0
        current, previous = (self._version(number) for number in (2, 1))
        write_state(
            directory,
            ServingState(mode="triton", model="dubber", server=SERVER, current=current, previous=previous),
        )
        settings = WatchSettings(deep_s=30)
        self.watcher = Watcher(directory, Nobody(), self.server, settings)
        self.watcher.recover()
        self.numbers = count(1)
        self.processes = [Stub(next(self.numbers), model, version) for model in MODELS for version in (1, 2)]
        self.processes += [Stub(next(self.numbers), one.model, one.version) for one in self.processes]
        self.lingers = False
        self.load, self.server.reload = self.server.reload, self.reload
        self.hung = list[Stub]()
        self.server_runs = True
        self.dog = Watchdog(
            directory, self.watcher, settings, clock=lambda: self.now, stubs=lambda _: tuple(self.processes),
            hanging=lambda _: tuple(self.hung), runs=lambda process: self.server_runs and process == SERVER,
        )  # fmt: skip
        self.dog.look()

    def _version(self, number: int) -> Served:
        from dubflow.atomic import write_json
        from dubflow.serving.export import Exported

        folder = self.directory / "models" / str(number)
        (folder / MODEL).mkdir(parents=True)
        engine = f"engine-{number}"
        export = Exported(
            version=number, kind="diflow", engine=engine, world="embedded", languages=("en",), heard=heard(engine),
            seconds=1, made=now(),
        )  # fmt: skip
        write_json(folder / FILE, export.model_dump(mode="json"))
        return export.served(folder)

    def reload(self, version: int, models: Sequence[str] = ()) -> None:
        """As Triton does: processes end, at once or in a while, and others take their places if they can."""
        known = [one for one in self.processes if one.version == version and one.model in (models or MODELS)]
        if not self.lingers:
            self.processes = [one for one in self.processes if one not in known]
        self.load(version, models)
        self.processes += [Stub(next(self.numbers), model, version) for model in (models or MODELS) for _ in range(2)]

    def kill(self, model: str, version: int) -> Stub:
        """One of its processes."""
        found = next(one for one in reversed(self.processes) if (one.model, one.version) == (model, version))
        self.processes.remove(found)
        return found

    @property
    def state(self) -> ServingState:
        return read_state(self.directory)

    def calls(self) -> list[tuple[str, int]]:
        found = [*self.server.calls]
        self.server.calls.clear()
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path)
    found.calls()
    return found


def test_nothing_is_done_where_nothing_has_died(place: Place) -> None:
    for _ in range(70):
        place.now += 0.5
        assert not place.dog.look()
    assert place.calls() == []
    health = place.state.health
    assert health is not None
    assert health.fine


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("model", MODELS)
def test_a_process_that_is_gone_is_seen_at_the_next_look(place: Place, model: str, version: int) -> None:
    place.kill(model, version)  # one of two: half of the requests would fail
    place.now += 0.5
    assert place.dog.look()
    assert place.calls() == [("reload", version), ("load", version)]
    counts = place.state.counts
    assert (counts.stubs_died, counts.reloads, counts.checks_failed) == (1, 1, 0)
    assert any(f"version {version} is loaded again: a process of {model} is gone" in one for one in place.state.notices)
    assert not place.dog.look()


def test_one_that_answers_nonsense_or_hangs_is_found_by_a_real_inference(place: Place) -> None:
    place.server.dead.add(2)
    place.now += 29
    assert not place.dog.look()
    place.now += 2
    assert place.dog.look()
    assert place.calls() == [("reload", 2), ("load", 2)]
    assert place.state.counts.checks_failed == 1
    health = place.state.health
    assert health is not None
    assert health.fine


def test_one_that_dies_between_the_look_at_processes_and_the_inference_counts_as_dead(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    dub = place.server.dub

    def dies_first(export: Exported, folder: Path, within_s: float) -> tuple[Heard, float]:
        monkeypatch.setattr(place.server, "dub", dub)
        place.kill(MODELS[0], export.version)
        raise OurFault("serving.backend_died", "Stub process is not healthy.")

    monkeypatch.setattr(place.server, "dub", dies_first)
    place.now += 31
    assert place.dog.look()
    counts = place.state.counts
    assert (counts.stubs_died, counts.reloads, counts.checks_failed) == (1, 1, 0)
    assert any(f"a process of {MODELS[0]} is gone" in one for one in place.state.notices)


def test_what_cannot_be_healed_is_said_and_tried_again_later(place: Place) -> None:
    place.server.dead.add(2)
    place.server.fails_to_load.add(2)
    place.now += 31
    assert not place.dog.look()
    health = place.state.health
    assert health is not None
    assert not health.fine
    assert "serving.not_loaded" in health.reason
    assert len(place.calls()) == 2
    # Its processes are gone, which is no reason to load it again all the time: after pauses that double.
    tries = []
    for _ in range(40):
        place.now += 0.5
        place.dog.look()
        tries.append(bool(place.calls()))
    assert [place for place, tried in enumerate(tries) if tried] == [1, 5, 13, 29]
    place.server.fails_to_load.clear()
    place.now += 30
    assert place.dog.look()
    health = place.state.health
    assert health is not None
    assert health.fine


def test_a_server_that_is_gone_is_no_matter_of_its_processes(place: Place) -> None:
    place.server_runs = False
    place.processes.clear()
    place.now += 31
    assert not place.dog.look()
    assert place.calls() == []
    assert place.state.counts.stubs_died == 0


def test_a_server_that_was_started_anew_is_counted_once_its_versions_are_back(place: Place) -> None:
    place.processes.clear()
    update_state(place.directory, lambda found: found.with_changes(server=SERVER + 1))
    place.dog._runs = lambda process: process == SERVER + 1
    place.server.restarted()
    assert not place.dog.look()
    assert place.state.counts.stubs_died == 0
    place.watcher.recover()
    assert place.calls() == [("load", 2), ("load", 1)], "who serves comes first"
    assert place.dog.look(), "now a model without any process is one that died"


def test_a_version_that_is_no_longer_kept_is_nobodys_loss(place: Place) -> None:
    update_state(place.directory, lambda found: found.with_changes(previous=None))
    place.processes = [one for one in place.processes if one.version == 2]
    assert not place.dog.look()
    assert place.calls() == []


def test_failures_of_backends_are_added_up_from_tritons_metrics() -> None:
    text = """# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="diflow",reason="OTHER",version="3"} 7
nv_inference_request_failure{model="diflow",reason="BACKEND",version="3"} 2
nv_inference_request_failure{model="diflow_codec",reason="BACKEND",version="3"} 1.000000
nv_inference_request_success{model="diflow",version="3"} 11
"""
    assert backend_failures(text) == 3
    assert backend_failures("") == 0


def test_a_process_that_is_killed_while_the_one_before_still_ends_is_not_missed(place: Place) -> None:
    """After a reload the old process may live on for seconds; it counts for nothing, here or there."""
    model, place.lingers = MODELS[1], True
    place.kill(model, 2)
    assert place.dog.look()
    old = {one.process for one in place.processes if (one.model, one.version) == (model, 2)}
    assert len(old) == 3
    place.calls()
    assert not place.dog.look()
    place.kill(model, 2)  # a new one, at once after the reload
    assert place.dog.look()
    assert place.calls() == [("reload", 2), ("load", 2)]
    assert not place.dog.look()
    place.processes = [one for one in place.processes if one.process not in old]
    assert not place.dog.look(), "the end of an old one is nobody's loss"
    assert place.calls() == []


def test_what_hangs_is_ended_and_loaded_again_at_the_same_look(place: Place) -> None:
    place.hung = [Stub(2**30, MODELS[0], 2)]
    place.kill(MODELS[0], 2)
    place.processes += place.hung
    assert place.dog.look()
    assert place.calls() == [("reload", 2), ("load", 2)]
    assert any(f"processes that hang are ended: {MODELS[0]} 2" in one for one in place.state.notices)


def test_what_was_loaded_again_and_does_not_end_is_ended(place: Place) -> None:
    model, place.lingers = MODELS[1], True
    place.kill(model, 2)
    assert place.dog.look()

    def told() -> bool:
        return any(
            f"processes that were to end by themselves are ended: {model} 2" in one for one in place.state.notices
        )

    place.now += 29
    place.dog.look()
    assert not told()
    place.now += 2
    place.dog.look()
    assert told()
