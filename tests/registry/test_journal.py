"""Compare-and-set: of those who saw the same entry one writes the next, in any number of processes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.registry.history import Change, State
from dubflow.registry.journal import TABLE, Journal
from dubflow.registry.tracking_store import store_of
from registry.children import grown, processes

CHANGE = Change(by="ann", at="2026-01-01T00:00:00+00:00")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "j.db").touch()
    return tmp_path / "j.db"


def journal(database: Path) -> Journal:
    return Journal(store_of(f"sqlite:///{database}", database.parent / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "another"])
def test_two_processes_interleave_and_lose_nothing(database: Path, kind: str) -> None:
    """40 entries by two writers: every one is there, each number once, each following the one before.

    DUBFLOW_TEST_DATABASE names an empty database of another kind (postgresql+psycopg://…) to see it there as well.
    """
    uri = f"sqlite:///{database}" if kind == "sqlite" else os.environ.get("DUBFLOW_TEST_DATABASE", "")
    if not uri:
        pytest.skip("DUBFLOW_TEST_DATABASE names no database server")
    context = processes()
    barrier, wins = context.Barrier(2), context.Queue()
    children = [context.Process(target=grown, args=(uri, 20, who, barrier, wins)) for who in ("ann", "bob")]
    for child in children:
        child.start()
    lost = dict(wins.get(timeout=120) for _ in children)
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert lost.keys() == {"ann", "bob"}
    kept = Journal(store_of(uri, Path("run")))
    entries = kept.entries("m")
    assert [entry.number for entry in entries] == list(range(1, 41))
    assert kept.state("m").number == 40  # the chain of digests holds
    for who in ("ann", "bob"):
        assert [entry.version for entry in entries if entry.by == who] == list(range(1, 21))


def test_who_comes_second_writes_nothing(database: Path) -> None:
    first, second = journal(database), journal(database)
    seen = second.state("m")
    assert first.append(seen.registered(1, "ab" * 32, CHANGE))
    assert not second.append(seen.registered(2, "cd" * 32, CHANGE))
    assert [entry.version for entry in second.entries("m")] == [1]
    assert second.append(second.state("m").registered(2, "cd" * 32, CHANGE))
    assert second.append(State("other").registered(1, "ef" * 32, CHANGE))  # each model has its own
    assert first.models() == ("m", "other")
    assert first.last_number("m") == 2


def test_looking_makes_nothing(tmp_path: Path) -> None:
    looked = journal(tmp_path / "none.db")
    assert (looked.models(), looked.entries("m"), looked.last_number("m")) == ((), (), 0)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_goes_away_is_not_an_empty_history(database: Path) -> None:
    written = journal(database)
    assert written.append(State("m").registered(1, "ab" * 32, CHANGE))
    away = database.rename(database.with_name("away.db"))
    with pytest.raises(OurFault) as caught:
        written.state("m")
    assert caught.value.code == "registry.journal_unreachable"
    assert not database.exists(), "nor is an empty one made"
    away.rename(database)
    assert written.last_number("m") == 1


def test_rows_changed_by_hand_are_noticed(database: Path) -> None:
    written = journal(database)
    for version in (1, 2):
        written.append(written.state("m").registered(version, "ab" * 32, CHANGE))
    for change in ("by = 'eve'", "action = 'steal'", "package = 'x'"):
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute(f"UPDATE {TABLE} SET {change} WHERE number = 1")
        with pytest.raises(BadInput) as caught:
            written.state("m")
        assert caught.value.code == "registry.history_damaged"


def test_a_database_that_stays_locked_is_an_error_of_ours(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dubflow.registry.journal._PATIENCE_S", 0.1)
    written = journal(database)
    assert written.append(State("m").registered(1, "ab" * 32, CHANGE))
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    entry = State("other").registered(1, "ab" * 32, CHANGE)
    with pytest.raises(OurFault) as caught:
        written.append(entry)
    assert caught.value.code == "registry.journal_unreachable"
    other.execute("ROLLBACK")
    other.close()
    assert written.append(entry)


def test_a_tracking_server_needs_a_database_beside_it(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = store_of("https://runs.example.org", database.parent / "run")
    with pytest.raises(WrongUse) as caught:
        Journal(server)
    assert caught.value.code == "registry.no_journal"
    monkeypatch.setenv("DUBFLOW_REGISTRY_JOURNAL", f"sqlite:///{database}")
    assert Journal(server).append(State("m").registered(1, "ab" * 32, CHANGE))
    assert journal(database).models() == ("m",)


def test_a_missing_driver_is_said(tmp_path: Path) -> None:
    with pytest.raises(WrongUse) as caught:
        Journal(store_of("mysql+nonesuch://host/models", tmp_path / "run"))
    assert caught.value.code == "registry.no_driver"
