"""The state file: what was written is read, what makes no sense is refused, and no change is lost."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.serving.state import (
    FILE,
    Counts,
    Health,
    Refused,
    Served,
    ServingState,
    read_state,
    update_state,
    write_state,
)

SINCE = "2026-01-01T00:00:00+00:00"


def served(version: int = 3, **changes: Any) -> Served:
    facts: dict[str, Any] = {
        "version": version, "package": f"{version:x}" * 4, "engine": f"diflow-{version}", "world": "embedded",
        "languages": ("en", "fr"), "folder": Path("packages") / str(version), "since": SINCE,
    }  # fmt: skip
    return Served(**facts | changes)


def state(**changes: Any) -> ServingState:
    return ServingState(**{"mode": "triton", "model": "dubber", "current": served(), **changes})


VERSIONS = st.builds(
    served,
    st.integers(0, 9),
    package=st.none() | st.text("0123456789abcdef", min_size=1, max_size=8),
    languages=st.lists(st.sampled_from(["en", "fr", "de"]), unique=True).map(tuple),
)
STATES = st.builds(
    ServingState,
    mode=st.just("in_process"),
    why=st.text(max_size=9),
    model=st.just("dubber"),
    current=st.none() | VERSIONS.filter(lambda one: one.version < 5),
    previous=st.none() | VERSIONS.filter(lambda one: one.version >= 5),
    refused=st.lists(
        st.builds(Refused, version=st.integers(0, 9), code=st.just("a.b"), headline=st.text(), at=st.just(SINCE)),
        max_size=2,
    ).map(tuple),
    health=st.none() | st.builds(Health, fine=st.booleans(), at=st.just(SINCE), seconds=st.floats(0, 9)),
    counts=st.builds(Counts, switches=st.integers(0, 99)),
    notices=st.lists(st.text(), max_size=3).map(tuple),
)


@given(STATES)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, given_state: ServingState) -> None:
    written = write_state(tmp_path, given_state)
    assert read_state(tmp_path) == written
    assert written.with_changes(changed="") == given_state
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: text.replace("dubflow.serving/1", "dubflow.serving/2"),
        lambda text: text.replace('"mode"', '"surprise": 1, "mode"'),
        lambda text: text.replace('"dubber"', '"../dubber"'),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, spoil: Any) -> None:
    write_state(tmp_path, state())
    path = tmp_path / FILE
    path.write_text(spoil(path.read_text()))
    with pytest.raises(BadInput, match=r"serving\.bad_state"):
        read_state(tmp_path)


def test_a_folder_without_a_server_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"serving\.no_state"):
        read_state(tmp_path)


def test_a_version_is_not_current_and_previous() -> None:
    with pytest.raises(ValueError, match="both current and previous"):
        state(previous=served())


def test_no_change_of_several_writers_is_lost(tmp_path: Path) -> None:
    write_state(tmp_path, state())

    def write() -> None:
        for _ in range(10):
            update_state(tmp_path, lambda found: found.counted(switches=1))

    writers = [Thread(target=write) for _ in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert read_state(tmp_path).counts.switches == 40


def test_notices_are_the_last_ones() -> None:
    found = state()
    for number in range(7):
        found = found.noted(f"thing {number}", most=3)
    assert [one.split(maxsplit=1)[1] for one in found.notices] == ["thing 4", "thing 5", "thing 6"]
    assert json.loads(found.model_dump_json())["counts"]["switches"] == 0
