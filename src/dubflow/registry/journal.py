"""The history in a database, with compare-and-set.

MLflow's aliases are last-writer-wins, so two promoters who both saw champion 3 would both succeed. Here a change is one
``INSERT`` of the entry that follows the one that was seen, into a table whose primary key is (model, number): of two
processes that saw the same entry exactly one gets the number, in SQLite as in PostgreSQL, without locks of our own and
without a moment in which anything is half done. Rows are never updated and never deleted.

The table stands in MLflow's own database (which leaves tables that it does not know alone). Where MLflow is a tracking
server, whose interface has no such operation, ``DUBFLOW_REGISTRY_JOURNAL`` names the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.errors import BadInput, OurFault, WrongUse, missing_extra
from dubflow.registry.history import Entry, State, state_of
from dubflow.registry.tracking_store import Store

if TYPE_CHECKING:
    from sqlalchemy import Engine, Select, Table

TABLE = "dubflow_model_history"
_PATIENCE_S = 20.0


class JournalSettings(BaseSettings):
    """What the environment may set, under the prefix ``DUBFLOW_REGISTRY_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_REGISTRY_", extra="ignore", frozen=True)

    journal: str | None = Field(None, description="SQL database of the history; none for MLflow's own.")


class Journal:
    """Entries of all models of a registry."""

    def __init__(self, store: Store) -> None:
        """Prepare for the database of ``store``; nothing is opened yet.

        Raises:
            WrongUse: ``registry.no_journal``, ``registry.no_driver``, ``install.missing_extra``.
        """
        url = JournalSettings().journal or (store.uri if store.scheme not in ("http", "https") else None)
        if url is None:
            raise WrongUse(
                "registry.no_journal",
                f"{store.shown} is a tracking server: its aliases cannot be changed by compare-and-set.",
                "Set DUBFLOW_REGISTRY_JOURNAL to a database (postgresql+psycopg://…) that all promoters share.",
            )
        self._engine, self._table = _connected(url)
        self._there = False

    def models(self) -> tuple[str, ...]:
        """Names of all models that have a history.

        Raises:
            OurFault: ``registry.journal_unreachable``, as every method here.
        """
        from sqlalchemy import select

        if not self._exists():
            return ()
        return tuple(row["model"] for row in self._rows(select(self._table.c.model).distinct().order_by("model")))

    def entries(self, model: str) -> tuple[Entry, ...]:
        """All entries of ``model``, oldest first.

        Raises:
            BadInput: ``registry.history_damaged`` when a row is no entry.
        """
        from sqlalchemy import select

        if not self._exists():
            return ()
        table = self._table
        rows = self._rows(select(table).where(table.c.model == model).order_by(table.c.number))
        return tuple(_entry(row) for row in rows)

    def state(self, model: str) -> State:
        """Where ``model`` stands.

        Raises:
            BadInput: ``registry.history_damaged``.
        """
        return state_of(model, self.entries(model))

    def last_number(self, model: str) -> int:
        """Of the last entry; 0 where there is none."""
        from sqlalchemy import func, select

        if not self._exists():
            return 0
        table = self._table
        rows = self._rows(select(func.max(table.c.number).label("last")).where(table.c.model == model))
        return int(rows[0]["last"] or 0)

    def append(self, entry: Entry) -> bool:
        """Write ``entry`` behind the one that it follows; False when somebody else's entry has its number."""
        from sqlalchemy import insert
        from sqlalchemy.exc import IntegrityError

        self._make()
        try:
            with self._reaching(), self._engine.begin() as connection:
                connection.execute(insert(self._table).values(**entry.model_dump(mode="json")))
        except IntegrityError:
            return False
        return True

    def _rows(self, query: Select[Any]) -> list[dict[str, Any]]:
        with self._reaching(), self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        from sqlalchemy.exc import OperationalError

        try:
            yield
        except OperationalError as error:
            raise OurFault(
                "registry.journal_unreachable",
                f"The history of models cannot be reached: {' '.join(str(error.orig).split())}.",
                "See whether its database runs and is not locked, then do it again; nothing is done twice.",
            ) from error

    def _exists(self) -> bool:
        from sqlalchemy import inspect

        url = self._engine.url
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            if self._there:
                raise OurFault(
                    "registry.journal_unreachable",
                    f"The history of models cannot be reached: {url.database} is gone.",
                    "Put the database back.",
                )
            return False  # to look would make an empty file, and MLflow takes that for a database of its own
        if not self._there:
            with self._reaching():
                self._there = inspect(self._engine).has_table(TABLE)
        return self._there

    def _make(self) -> None:
        """Make the table where it is missing; two that do so at once do no harm."""
        from sqlalchemy.exc import DBAPIError

        if self._exists():
            return
        try:
            with self._reaching():
                self._table.metadata.create_all(self._engine)
            self._there = True
        except (DBAPIError, OurFault):
            if not self._exists():  # else somebody made it between our look and our making
                raise


def _entry(row: dict[str, Any]) -> Entry:
    try:
        return Entry.model_validate(row)
    except ValidationError as error:
        raise BadInput(
            "registry.history_damaged",
            f"The history of {row.get('model')} has a row that is no entry: {row.get('number')}.",
            "The database was changed by hand. Restore it from a copy; nothing is promoted until then.",
        ) from error


def _connected(url: str) -> tuple[Engine, Table]:
    try:
        from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, Text, create_engine
        from sqlalchemy.exc import NoSuchModuleError
        from sqlalchemy.pool import NullPool
    except ModuleNotFoundError as error:
        raise missing_extra("mlflow") from error
    options = {"connect_args": {"timeout": _PATIENCE_S}} if url.startswith("sqlite") else {}
    try:
        # A connection a call: few calls are made, and none may be carried over into a forked process.
        engine = create_engine(url, poolclass=NullPool, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise WrongUse(
            "registry.no_driver",
            f"The registry's database needs a Python package that is not installed ({error}).",
            "Install the database's driver, or name another in the URI (postgresql+psycopg://…).",
        ) from error
    texts = ("at", "by", "action", "package", "verdict", "follows")
    table = Table(
        TABLE,
        MetaData(),
        Column("model", String(256), primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        *(Column(name, String(256), nullable=name == "verdict") for name in texts),
        *(Column(name, Integer, nullable=name != "version") for name in _VERSIONS),
        Column("reason", Text, nullable=False),
        Column("override", Boolean, nullable=False),
    )
    return engine, table


_VERSIONS = ("version", "before", "champion", "previous", "challenger")
