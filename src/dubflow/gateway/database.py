"""The gateway's database: SQLite here, Postgres by URL, one way to write in both.

SQLite runs in WAL mode (readers never wait for a writer) with ``BEGIN IMMEDIATE`` (a writer waits at its beginning, so
no transaction fails half way for having read first). A database that is locked is tried again with pauses that grow,
for as long as the caller has patience; then the caller gets ``gateway.database_busy``. What is run must therefore bear
being run twice: a commit whose answer was lost may have happened.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dubflow.errors import BadInput, DubflowError, OurFault, WrongUse, missing_extra

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData
    from sqlalchemy.exc import DBAPIError

Answer = TypeVar("Answer")
Clock = Callable[[], float]
Step = Callable[["Connection"], None]

API_PATIENCE_S = 5.0
WORKER_PATIENCE_S = 120.0
_BUSY_S = 0.5
_LONGEST_PAUSE_S = 1.0
_VERSIONS = "schema_versions"
# Postgres: serialisation failure, deadlock, lock time-out, and everything that says that the server is not there now.
_PASSING = ("40001", "40P01", "55P03", "08", "57P", "53")


class Database:
    """One database, for the threads of one process.

    Args:
        url: as SQLAlchemy writes it. clock: seconds since 1970; tests give their own.
    """

    def __init__(self, url: str, clock: Clock = time.time) -> None:
        """Prepare; nothing is opened yet.

        Raises:
            WrongUse: ``gateway.no_driver``, ``install.missing_extra``.
        """
        self.clock = clock
        self.engine = _engine(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether writers wait for each other as a whole."""
        return self.engine.dialect.name == "sqlite"

    def now_ms(self) -> int:
        """Milliseconds since 1970; the unit of every time in the tables."""
        return round(self.clock() * 1000)

    def write(self, work: Callable[[Connection], Answer], *, patience_s: float = API_PATIENCE_S) -> Answer:
        """What ``work`` answers, in one transaction; run again where the database was busy.

        Raises:
            OurFault: ``gateway.database_busy`` after ``patience_s``; ``gateway.database_failed``.
        """
        return self._insisting(lambda: self._once(work, write=True), patience_s)

    def read(self, work: Callable[[Connection], Answer], *, patience_s: float = API_PATIENCE_S) -> Answer:
        """Like :meth:`write` for what only looks; nobody waits for it, and in SQLite it sees one state throughout."""
        return self._insisting(lambda: self._once(work, write=False), patience_s)

    def migrate(self, part: str, tables: MetaData, steps: Mapping[int, Step], *, patience_s: float = 60.0) -> None:
        """Bring the tables of one part of the gateway to the newest version; several processes may do so at once.

        Args:
            part: a name of its own. tables: as they are in the newest version; where there are none yet, they are made.
            steps: what leads to version ``n`` from the one before, for every ``n >= 2``; only ever added to.

        Raises:
            BadInput: ``gateway.newer_database`` for one that a later dubflow wrote.
        """
        newest = max(steps, default=1)
        if sorted(steps) != list(range(2, newest + 1)):
            raise ValueError(f"steps of {part!r} have gaps: {sorted(steps)}")
        self._prepare(patience_s)

        def bring(connection: Connection) -> None:
            found = _version_of(connection, part)
            if found > newest:
                raise BadInput(
                    "gateway.newer_database",
                    f"The tables of {part} are of version {found}; this dubflow knows {newest}.",
                    "Install the dubflow that wrote them, or a newer one.",
                )
            if found == newest:
                return
            if found == 0:  # made as they are now: the steps are for those that were made before
                tables.create_all(connection)
            else:
                for version in range(found + 1, newest + 1):
                    steps[version](connection)
            _set_version(connection, part, newest)

        self.write(bring, patience_s=patience_s)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def _prepare(self, patience_s: float) -> None:
        """The folder, the journal mode (a property of the file) and the table of versions."""
        from sqlalchemy import text

        if self.is_sqlite and self.engine.url.database:
            Path(self.engine.url.database).parent.mkdir(parents=True, exist_ok=True)

        def journal() -> None:
            with self.engine.connect() as connection:
                raw = connection.connection.cursor()
                if str(raw.execute("PRAGMA journal_mode").fetchone()[0]).lower() != "wal":
                    raw.execute("PRAGMA journal_mode=WAL")
                raw.close()

        if self.is_sqlite:
            self._insisting(journal, patience_s)

        def versions(connection: Connection) -> None:
            if not self.is_sqlite:  # two that make the same table at once would fail in Postgres
                connection.execute(text("SELECT pg_advisory_xact_lock(48207211)"))
            connection.execute(
                text(f"CREATE TABLE IF NOT EXISTS {_VERSIONS} (part VARCHAR(64) PRIMARY KEY, version INTEGER NOT NULL)")
            )

        self.write(versions, patience_s=patience_s)

    def _once(self, work: Callable[[Connection], Answer], *, write: bool) -> Answer:
        with self.engine.connect() as opened:
            connection = opened.execution_options(dubflow_write=write)
            with connection.begin():
                return work(connection)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the driver under our names."""
        from sqlalchemy.exc import DBAPIError, IntegrityError

        try:
            yield
        except IntegrityError:
            raise  # an answer, not a failure: whoever inserts knows what it means
        except DBAPIError as error:
            said = " ".join(str(error.orig).split())
            if _passes(error, sqlite=self.is_sqlite):
                raise OurFault(
                    "gateway.database_busy",
                    f"The database is busy or away: {said}.",
                    "Try again in a few seconds.",
                    retry_after_s=5,
                ) from error
            raise OurFault(
                "gateway.database_failed",
                f"The database does not do what it is asked: {said}.",
                "See that it has room on its disk, and what its own log says.",
            ) from error

    def _insisting(self, work: Callable[[], Answer], patience_s: float) -> Answer:
        started, pause = time.monotonic(), 0.01
        while True:
            try:
                with self._named():
                    return work()
            except DubflowError as error:
                left = patience_s - (time.monotonic() - started)
                if error.code != "gateway.database_busy" or left <= 0:
                    raise
                # A random share, so that several who wait do not come back together.
                time.sleep(min(left, pause * random.uniform(0.5, 1.0)))  # noqa: S311
                pause = min(2 * pause, _LONGEST_PAUSE_S)


def _passes(error: DBAPIError, *, sqlite: bool) -> bool:
    """Whether it may be gone a moment later."""
    from sqlalchemy.exc import OperationalError

    if sqlite:
        return " is locked" in str(error.orig)
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # no server said so: there was none to be reached
        return isinstance(error, OperationalError) or error.connection_invalidated
    return str(state).startswith(_PASSING)


def _engine(url: str) -> Engine:
    try:
        from sqlalchemy import create_engine, event
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
    except ModuleNotFoundError as error:
        raise missing_extra("sqlalchemy") from error
    sqlite = url.startswith("sqlite")
    # Waiting inside the driver is short: the loop outside waits fairly and can be told how long.
    options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_S}} if sqlite else {"pool_pre_ping": True}
    try:
        engine = create_engine(url, **options)
    except (ModuleNotFoundError, NoSuchModuleError, ArgumentError) as error:
        raise WrongUse(
            "gateway.no_driver",
            f"The gateway's database cannot be opened by its URL ({error}).",
            "Write sqlite:///file or postgresql+psycopg://…, and install dubflow[postgres] for the latter.",
        ) from error
    if sqlite:
        event.listen(engine, "connect", _opened)
        event.listen(engine, "begin", _begun)
    return engine


def _opened(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; _begun does
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")  # what was answered is on the disk, whatever happens to the machine
    cursor.close()


def _begun(connection: Connection) -> None:
    write = connection.get_execution_options().get("dubflow_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _version_of(connection: Connection, part: str) -> int:
    from sqlalchemy import text

    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(48207211)"))
    query = text(f"SELECT version FROM {_VERSIONS} WHERE part = :part")  # noqa: S608 - a constant of this module
    return int(connection.execute(query, {"part": part}).scalar() or 0)


def _set_version(connection: Connection, part: str, version: int) -> None:
    from sqlalchemy import text

    values = {"part": part, "version": version}
    query = f"UPDATE {_VERSIONS} SET version = :version WHERE part = :part"  # noqa: S608
    if connection.execute(text(query), values).rowcount == 0:
        connection.execute(text(f"INSERT INTO {_VERSIONS} (part, version) VALUES (:part, :version)"), values)  # noqa: S608
