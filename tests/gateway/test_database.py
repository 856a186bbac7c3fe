"""One way to write in SQLite and Postgres: waits while it is locked, brings tables up, refuses what is newer."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, inspect, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

import real_postgres
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.gateway.database import Database
from dubflow.gateway.tables import METADATA
from dubflow.gateway.tables import migrate as migrate_jobs

OLD, NEW = MetaData(), MetaData()
NOTES = Table("notes", OLD, Column("id", Integer, primary_key=True), Column("text", String(20)))
Table("notes", NEW, Column("id", Integer, primary_key=True), Column("text", String(20)), Column("kind", String(9)))
STEP = {2: lambda connection: connection.execute(text("ALTER TABLE notes ADD COLUMN kind VARCHAR(9)"))}


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[threading.Event]:
    """Another connection holds the database for so long; the event says that it does no more."""
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        held.set()
        time.sleep(seconds)
        free.set()
        connection.execute("COMMIT")
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    yield free
    thread.join()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/below/gateway.db")
    made.migrate("notes", OLD, {})
    yield made
    made.close()


def columns(database: Database) -> set[str]:
    return {str(one["name"]) for one in inspect(database.engine).get_columns("notes")}


def test_what_was_written_is_there_and_what_failed_is_not(database: Database) -> None:
    database.write(lambda connection: connection.execute(insert(NOTES).values(id=1, text="a")))

    def half(connection: object) -> None:
        connection.execute(insert(NOTES).values(id=2, text="b"))  # type: ignore[attr-defined]
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        database.write(half)
    assert database.read(lambda connection: connection.execute(select(NOTES.c.id)).scalars().all()) == [1]


def test_a_writer_waits_for_another_and_a_reader_does_not(database: Database, tmp_path: Path) -> None:
    with locked(tmp_path / "below" / "gateway.db", 1.0) as free:
        assert database.read(lambda connection: connection.execute(select(NOTES)).all()) == []
        assert not free.is_set()
        database.write(lambda connection: connection.execute(insert(NOTES).values(id=1)), patience_s=20)
        assert free.is_set()


def test_who_has_no_patience_is_told_that_it_is_busy(database: Database, tmp_path: Path) -> None:
    with locked(tmp_path / "below" / "gateway.db", 2.0) as free:
        with pytest.raises(OurFault, match=r"gateway\.database_busy") as refused:
            database.write(lambda connection: connection.execute(insert(NOTES).values(id=1)), patience_s=0.1)
        assert not free.is_set()
        assert refused.value.retryable
        assert refused.value.details["retry_after_s"] > 0


def test_several_may_bring_the_tables_up_at_once(tmp_path: Path) -> None:
    made = [Database(f"sqlite:///{tmp_path}/gateway.db") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(migrate_jobs, made))
        list(pool.map(migrate_jobs, made))
    assert set(METADATA.tables) <= set(inspect(made[0].engine).get_table_names())


def test_an_old_database_comes_to_be_like_a_new_one(database: Database, tmp_path: Path) -> None:
    database.write(lambda connection: connection.execute(insert(NOTES).values(id=1, text="kept")))
    for _ in range(2):
        database.migrate("notes", NEW, STEP)
    fresh = Database(f"sqlite:///{tmp_path}/fresh.db")
    fresh.migrate("notes", NEW, STEP)
    assert columns(database) == columns(fresh) == {"id", "text", "kind"}
    assert database.read(lambda connection: connection.execute(select(NOTES.c.text)).scalars().all()) == ["kept"]


def test_a_step_that_fails_leaves_the_version_before(database: Database) -> None:
    def broken(connection: object) -> None:
        STEP[2](connection)  # type: ignore[arg-type]
        raise KeyError("power cut")

    with pytest.raises(KeyError):
        database.migrate("notes", NEW, {2: broken})
    assert columns(database) == {"id", "text"}
    database.migrate("notes", NEW, STEP)
    assert "kind" in columns(database)


def test_tables_of_a_later_version_are_refused(database: Database) -> None:
    database.migrate("notes", NEW, STEP)
    with pytest.raises(BadInput, match=r"gateway\.newer_database"):
        database.migrate("notes", OLD, {})


@pytest.mark.parametrize("url", ["nonsense", "oracle9://x", "postgresql+nodriver://x/y"])
def test_a_url_that_leads_nowhere(url: str) -> None:
    with pytest.raises(WrongUse, match=r"gateway\.no_driver"):
        Database(url)


def test_a_broken_file_is_no_busy_one(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"no database at all, whatever its name says" * 100)
    with pytest.raises(OurFault, match=r"gateway\.database_failed"):
        migrate_jobs(Database(f"sqlite:///{tmp_path}/gateway.db"))


def test_the_tables_are_words_of_postgres() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in METADATA.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert "CREATE" in str(CreateIndex(index).compile(dialect=dialect))
    jobs = METADATA.tables["jobs"]
    query = select(jobs).with_for_update(skip_locked=True).compile(dialect=dialect)
    assert str(query).endswith("FOR UPDATE SKIP LOCKED")


@pytest.mark.slow
@pytest.mark.skipif(real_postgres.programs() is None, reason="no Postgres server is installed here (initdb, postgres)")
def test_a_real_postgres_is_brought_up_and_says_when_it_is_gone() -> None:
    with real_postgres.running() as url:
        made = [Database(url) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(migrate_jobs, made))
        for one in made:
            one.migrate("notes", OLD, {})
        made[0].write(lambda connection: connection.execute(insert(NOTES).values(id=1, text="kept")))
        made[1].migrate("notes", NEW, STEP)
        assert columns(made[0]) == {"id", "text", "kind"}
        for one in made[1:]:
            one.close()
    with pytest.raises(OurFault, match=r"gateway\.database_"):
        made[0].read(lambda connection: connection.execute(select(NOTES)).all(), patience_s=0.5)
    made[0].close()
