"""A rollout on the server of this machine: what it refuses, what it loads and ends; and golden dubs in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.watching import Watch
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.locking import alone_in
from dubflow.platform.rollout.golden import check_languages, compare_golden, golden_phones, golden_seeds
from dubflow.platform.rollout.local import FOLDER, LocalPlace
from dubflow.platform.rollout.releasing import Releases
from dubflow.registry.promoting import Rules
from dubflow.serving.export import MODEL as FILES
from dubflow.serving.state import Served, ServingState, now, write_state
from rollouts import contest
from serving.releasing import MemoryServer, export


class Champion:
    """A registry that knows who is champion."""

    def __init__(self) -> None:
        self.champion = 1

    def state(self, model: str) -> Any:
        return type("State", (), {"champion": self.champion})


def served(version: int, package: str) -> Served:
    return Served(
        version=version, package=package, engine=f"e{version}", world="embedded", languages=("en",),
        folder=Path("/nowhere"), since=now(),
    )  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A server that is up, with the contest's champion."""
    with alone_in(tmp_path, OurFault("test.x", "")):
        write_state(tmp_path, ServingState(mode="triton", model="dubber", current=served(1, "a" * 64)))
        yield tmp_path


def place(directory: Path, backend: MemoryServer) -> LocalPlace:
    releases = Releases(Champion(), Rules())  # type: ignore[arg-type]
    return LocalPlace(directory, releases, backend, lambda: Counts(), export=export)  # type: ignore[arg-type, return-value]


def brought(directory: Path, version: int) -> Path:
    """The candidate's files, as bringing them would leave them."""
    folder = directory / FOLDER / f"{version}-{'b' * 16}"
    (folder / FILES).mkdir(parents=True)
    from dubflow.atomic import write_json
    from dubflow.serving.export import FILE, Exported
    from serving.releasing import heard

    described = Exported(
        version=version, package="b" * 64, kind="diflow", engine="e2", world="embedded", languages=("en",),
        heard=heard("e2"), seconds=0.0, made=now(),
    )  # fmt: skip
    write_json(folder / FILE, described.model_dump(mode="json"))
    return folder


def test_the_candidate_is_loaded_beside_the_champion_once_and_ended(directory: Path) -> None:
    backend, folder = MemoryServer(), brought(directory, 2)
    own = place(directory, backend)
    for percent in (10, 10, 50):
        own.set_share(contest(), percent)
    assert backend.calls == [("load", 2)]
    backend.restarted()
    own.set_share(contest(), 50)
    assert backend.loaded == {2}, "a server that was started again gets it again"
    for _ in range(2):
        own.rollback(contest(), "ada", "bad")
    assert (backend.loaded, folder.exists()) == (set(), False)
    assert own.requests(contest()) is None


def test_nothing_is_done_where_the_champion_is_another_or_nobody_serves(directory: Path, tmp_path: Path) -> None:
    backend = MemoryServer()
    write_state(directory, ServingState(mode="triton", model="dubber", current=served(7, "c" * 64)))
    with pytest.raises(BadInput, match="version 7 serves"):
        place(directory, backend).set_share(contest(), 10)
    write_state(directory, ServingState(mode="triton", model="dubber"))
    with pytest.raises(BadInput, match="nobody serves"):
        place(directory, backend).set_share(contest(), 10)
    write_state(directory, ServingState(mode="in_process", why="no Triton", model="dubber"))
    with pytest.raises(WrongUse, match="no_triton_server"):
        place(directory, backend).set_share(contest(), 10)
    with pytest.raises(WrongUse, match="no_server"):
        place(tmp_path / "elsewhere", backend).set_share(contest(), 10)
    assert backend.calls == []


class Hums:
    """An engine that hums as loud as it is told, or fails."""

    world, languages = "embedded", ("en",)

    def __init__(self, name: str, asked: list[tuple[str, int]], fails: Exception | None = None) -> None:
        self.id, self.asked, self.fails = name, asked, fails

    def look(self, job: Job, watch: Watch) -> Job:
        return job

    def speak(self, seen: Sequence[Job], watch: Watch) -> list[list[SpokenSegment]]:
        (job,) = seen
        self.asked.append((self.id, job.options.seed))
        if self.fails is not None:
            raise self.fails
        frames = job.segments[0].frames
        sound = np.zeros(640 * frames, np.float32)
        sound[8000:20000] = 0.3 * np.sin(np.arange(12000) / 5)
        return [[SpokenSegment(sound, None, 1.0)]]


class Counts:
    """Hears all phones but one."""

    def hear(self, waveform: object) -> list[str]:
        return list(golden_phones())[1:]


def pairs(own: Hums, other: Hums, count: int = 4) -> list[Any]:
    return list(compare_golden(own, other, golden_seeds(count, 3), Counts(), within_s=9))  # type: ignore[arg-type]


def test_both_versions_get_the_same_in_turn() -> None:
    asked: list[tuple[str, int]] = []
    found = pairs(Hums("own", asked), Hums("other", asked))
    seeds = golden_seeds(4, 3)
    assert asked == [
        ("other", seeds[0]), ("own", seeds[0]), ("own", seeds[1]), ("other", seeds[1]),
        ("other", seeds[2]), ("own", seeds[2]), ("own", seeds[3]), ("other", seeds[3]),
    ]  # fmt: skip
    assert {(one.candidate_errors, one.champion_errors, one.phones) for one in found} == {(1, 1, len(golden_phones()))}
    assert not set(seeds) & set(golden_seeds(100, 4)), "another look, other noise"


def test_what_a_version_fails_is_counted_and_a_broken_server_is_no_word_about_it() -> None:
    failing = Hums("own", [], OurFault("serving.inference_failed", "x"))
    (first, *_) = pairs(failing, Hums("other", []))
    assert (first.candidate_failed, first.champion_failed) == ("serving.inference_failed", "")
    assert first.candidate_errors == first.phones
    for code in ("serving.unavailable", "serving.not_loaded"):
        with pytest.raises(OurFault, match=code):
            pairs(Hums("own", [], OurFault(code, "x")), Hums("other", []))
    with pytest.raises(WrongUse, match="rollout_stopped"):
        list(compare_golden(failing, failing, (1,), Counts(), within_s=9, stopped=lambda: True))  # type: ignore[arg-type]


def test_a_version_without_english_cannot_be_judged_here() -> None:
    check_languages(("en", "de"), ("en",))
    with pytest.raises(WrongUse, match="no_golden_language"):
        check_languages(("en",), ("de", "fr"))
