"""One database to a file and back: SQLite by its backup API, Postgres by pg_dump and pg_restore.

A dump and the facts about it come from one transaction, so that a restored database can be held to them exactly.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubflow.atomic import atomic_file
from dubflow.errors import BadInput, OurFault, WrongUse, missing_extra
from dubflow.gateway.tables import JOBS, TURNS
from dubflow.platform.backup.manifest import Champion, DatabaseFacts, Kind
from dubflow.platform.backup.settings import BackupSettings, program
from dubflow.registry.history import Entry, state_of
from dubflow.registry.journal import TABLE

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

_ADDRESSES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "model_versions": ("source", "storage_location"),
    "logged_models": ("artifact_location",),
}
"""Columns of MLflow's tables that say where files lie."""


def kind_of(url: str) -> Kind:
    """Which of the two.

    Raises:
        WrongUse: ``platform.backup_other_database``.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme == "sqlite":
        return "sqlite"
    if scheme in ("postgresql", "postgres"):
        return "postgresql"
    raise WrongUse(
        "platform.backup_other_database",
        f"Databases of the kind {scheme!r} are not copied here.",
        "Copy it by its own means; SQLite and PostgreSQL are what this knows.",
    )


def shown(url: str) -> str:
    """A URL without its password."""
    return str(_url(url).render_as_string(hide_password=True))


def dump(url: str, out: Path) -> DatabaseFacts:
    """Copy a database into the new file ``out`` while others go on writing; what is in the copy.

    Raises:
        BadInput: ``platform.no_database``. OurFault: ``platform.dump_failed``.
        WrongUse: ``platform.no_postgres_programs``, ``platform.backup_other_database``.
    """
    if kind_of(url) == "sqlite":
        _dump_sqlite(_file(url), out)
        return facts_of(f"sqlite:///{out}") or DatabaseFacts(rows={})
    tool = program("pg_dump")
    with _engine(url) as engine, _asked(url, "read"), engine.connect() as opened:
        from sqlalchemy import text

        connection = opened.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            snapshot = str(connection.execute(text("SELECT pg_export_snapshot()")).scalar_one())
            words = ["--format=custom", "--no-owner", "--no-acl", f"--snapshot={snapshot}", f"--file={out}"]
            _run(tool, words, url)
            return _facts(connection)


def facts_of(url: str) -> DatabaseFacts | None:
    """What is in a database now; None for one without tables, or a file that is not there.

    Raises:
        OurFault: ``platform.dump_failed`` where it cannot be asked.
    """
    if kind_of(url) == "sqlite" and not _file(url).is_file():
        return None
    with _engine(url) as engine, _asked(url, "read"), engine.connect() as connection, connection.begin():
        found = _facts(connection)
    return found if found.rows else None


def load(url: str, file: Path) -> None:
    """Bring a dump into an empty database, whole or not at all.

    Raises:
        OurFault: ``platform.dump_failed``. WrongUse: ``platform.no_postgres_programs``.
    """
    if kind_of(url) == "sqlite":
        target = _file(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in (target.with_name(f"{target.name}-wal"), target.with_name(f"{target.name}-shm")):
            left.unlink(missing_ok=True)  # of the database that was lost: they would be taken for the new one's
        with atomic_file(target) as part:
            _dump_sqlite(file, part)
        return
    _run(
        program("pg_restore"),
        ["--single-transaction", "--exit-on-error", "--no-owner", "--no-acl", f"--dbname={_url(url).database}",
         str(file)],
        url,
    )  # fmt: skip


def move(url: str, before: str, after: str) -> int:
    """Have MLflow's tables name files below ``after`` that they named below ``before``; how many places.

    Raises:
        OurFault: ``platform.dump_failed``.
    """
    from sqlalchemy import column, func, inspect, literal, table, update

    old, new = before.rstrip("/"), after.rstrip("/")
    moved = 0
    with _engine(url) as engine, _asked(url, "written"), engine.begin() as connection:
        there = set(inspect(connection).get_table_names())
        for name in sorted(there & _ADDRESSES.keys()):
            columns = {one["name"] for one in inspect(connection).get_columns(name)}
            for one in sorted(columns & {*_ADDRESSES[name]}):
                place: Any = column(one)
                rest = func.substr(place, len(old) + 1)
                below = func.substr(place, 1, len(old) + 1) == f"{old}/"
                changed = update(table(name, place)).where(below | (place == old)).values({one: literal(new) + rest})
                moved += int(connection.execute(changed).rowcount)
    return moved


def _facts(connection: Connection) -> DatabaseFacts:
    from sqlalchemy import column, func, inspect, select, table

    names = sorted(inspect(connection).get_table_names())
    rows = {name: int(connection.execute(select(func.count()).select_from(table(name))).scalar_one()) for name in names}
    models: tuple[Champion, ...] = ()
    if TABLE in rows:
        columns: list[Any] = [column(name) for name in Entry.model_fields]
        history = table(TABLE, *columns)
        found = connection.execute(select(history).order_by("model", "number")).mappings()
        entries = [Entry.model_validate({**row, "override": bool(row["override"])}) for row in found]
        models = tuple(_champion(model, entries) for model in sorted({one.model for one in entries}))
    jobs: dict[str, int] = {}
    if TURNS.name in rows:  # MLflow has a table named jobs as well, which is another thing
        counted = connection.execute(select(JOBS.c.state, func.count()).group_by(JOBS.c.state))
        jobs = {str(state): int(count) for state, count in counted}
    return DatabaseFacts(rows=rows, models=models, jobs=jobs)


def _champion(model: str, entries: list[Entry]) -> Champion:
    state = state_of(model, [one for one in entries if one.model == model])
    package = None if state.champion is None else state.package(state.champion)
    return Champion(model=model, number=state.number, digest=state.digest, champion=state.champion, package=package)


def _dump_sqlite(source: Path, out: Path) -> None:
    """A copy of one moment of ``source``, also while it is written to, checked by SQLite itself."""
    if not source.is_file():
        raise BadInput("platform.no_database", f"There is no database {source}.", "See where the settings point.")
    try:
        with (
            closing(sqlite3.connect(f"file:{source.absolute()}?mode=ro", uri=True, timeout=60)) as taken,
            closing(sqlite3.connect(out)) as made,
        ):
            taken.backup(made)
            said = made.execute("PRAGMA integrity_check").fetchone()[0]
            made.execute("PRAGMA journal_mode=DELETE")  # one file; whoever opens it to serve chooses anew
    except sqlite3.Error as error:
        raise _failed(str(source), str(error)) from error
    if said != "ok":
        raise _failed(str(source), f"SQLite says of the copy: {said}")


def _run(tool: Path, words: list[str], url: str) -> None:
    """One of Postgres' programs; where the server is and who we are goes by the environment, never by its words."""
    try:
        done = subprocess.run(
            [str(tool), "--no-password", *words],
            env={**os.environ, **_environment(_url(url))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BackupSettings().dump_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(shown(url), f"{tool.name}: {type(error).__name__}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _failed(shown(url), f"{tool.name}: {lines[0] if lines else f'exit code {done.returncode}'}")


def _environment(url: URL) -> Mapping[str, str]:
    query = {name: str(value) for name, value in url.query.items()}
    given = {
        "PGHOST": url.host or query.get("host"),
        "PGPORT": str(url.port) if url.port else query.get("port"),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("sslmode"),
        "PGSSLROOTCERT": query.get("sslrootcert"),
    }
    return {name: value for name, value in given.items() if value}


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    try:
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool
    except ModuleNotFoundError as error:
        raise missing_extra("sqlalchemy") from error
    engine = create_engine(_url(url), poolclass=NullPool)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _asked(url: str, what: str) -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise _failed(shown(url), f"cannot be {what}: {' '.join(str(error.orig).split())[:300]}") from error


def _url(url: str) -> Any:
    from sqlalchemy.engine import make_url

    made = make_url(url)
    # MLflow's settings may leave the driver out; ours is psycopg 3.
    return made.set(drivername="postgresql+psycopg") if made.drivername in ("postgresql", "postgres") else made


def _file(url: str) -> Path:
    return Path(str(_url(url).database or ""))


def _failed(where: str, how: str) -> OurFault:
    return OurFault("platform.dump_failed", f"{where}: {how}", "Nothing was changed; see what its server says.")
