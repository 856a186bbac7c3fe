"""Where MLflow keeps runs: a database file beside the runs' folders, a database server, or a tracking server.

MLflow is imported by :func:`client_of` alone, with what would reach out or load code switched off.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.atomic import atomic_file
from dubflow.errors import WrongUse, missing_extra

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

DATABASE, ARTIFACTS = "mlflow.db", "mlflow-artifacts"


class TrackingSettings(BaseSettings):
    """What the environment may set, under the prefix ``DUBFLOW_MLFLOW_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_MLFLOW_", extra="ignore", frozen=True)

    uri: str | None = Field(None, description="Tracking server or database; none for a file beside the runs.")
    artifacts: str | None = Field(None, description="Folder or object storage for files of new experiments.")
    timeout_s: int = Field(10, ge=1, description="How long one request to a server may take.")
    retries: int = Field(1, ge=0, le=10, description="How often a request is repeated before the training goes on.")


@dataclass(frozen=True)
class Store:
    """A place for runs.

    Attributes:
        uri: as MLflow takes it. artifacts: where files of a new experiment go; None where the server decides.
        settings: limits of requests.
    """

    uri: str
    artifacts: str | None
    settings: TrackingSettings

    @property
    def shown(self) -> str:
        """The URI without a password."""
        parts = urlsplit(self.uri)
        if "@" not in parts.netloc:
            return self.uri
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def file(self) -> Path | None:
        """The database file; None for a server."""
        return Path(self.uri.partition(":///")[2].partition("?")[0]) if self.scheme == "sqlite" else None

    @property
    def is_new(self) -> bool:
        """Whether this is a database file that has yet to be set up."""
        return self.file is not None and not self.file.exists()

    @property
    def scheme(self) -> str:
        """``sqlite``, ``postgresql``, ``http``, …, without the driver."""
        return self.uri.partition(":")[0].partition("+")[0]


def store_of(uri: str | None, folder: Path) -> Store:
    """The store for a run that works in ``folder``.

    Args:
        uri: MLflow's tracking URI; None for the setting DUBFLOW_MLFLOW_URI or, without that, ``mlflow.db`` beside
            ``folder``: one database for all runs of a working folder, files in ``mlflow-artifacts`` beside it.
        folder: the run's own.

    Raises:
        WrongUse: ``registry.bad_tracking_uri``.
    """
    settings = TrackingSettings()
    home = Path(folder).resolve().parent
    chosen = uri or settings.uri or f"sqlite:///{home / DATABASE}"
    store = Store(chosen, None, settings)
    no_file = store.file is not None and store.file.name in ("", ":memory:")
    if store.scheme not in (*_SERVERS, *_DATABASES) or "://" not in chosen or no_file:
        raise WrongUse(
            "registry.bad_tracking_uri",
            f"{store.shown!r} is neither a database nor a tracking server.",
            "Give sqlite:///FILE, postgresql://… or https://…, or leave it out for a file beside the runs.",
        )
    if store.scheme in _SERVERS:
        return store
    beside = home if store.file is None else store.file.parent
    # An experiment without a place of its own would write to ./mlruns of whatever folder the command was started in.
    return Store(chosen, settings.artifacts or (beside.resolve() / ARTIFACTS).as_uri(), settings)


def client_of(store: Store) -> MlflowClient:
    """MLflow's client of ``store``; a new database is set up first, which takes some seconds.

    Raises:
        WrongUse: ``install.missing_extra``, ``registry.no_driver`` when a database's driver is not installed.
        Exception: whatever MLflow raises when the store cannot be reached.
    """
    _harden(store.settings)
    try:
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError as error:
        raise missing_extra("mlflow") from error
    for name in ("mlflow", "alembic"):  # sixty lines about migrations at the first start
        logging.getLogger(name).setLevel(logging.ERROR)
    _knock(store)
    try:
        if store.file is not None:
            _set_up(store.file)
        # Models go where runs go, whatever registry MLFLOW_REGISTRY_URI or this process has named elsewhere.
        return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
    except ModuleNotFoundError as error:
        raise WrongUse(
            "registry.no_driver",
            f"{store.shown} needs the Python package {error.name!r}, which is not installed.",
            "Install the database's driver, or name another in the URI (postgresql+psycopg://…).",
        ) from error


def _set_up(database: Path) -> None:
    """Make a new database file whole or not at all, once, however many trainings start at the same time.

    Left to itself MLflow migrates the file in place: two at once spoil it for each other, and so does a kill.
    """
    from mlflow.tracking import MlflowClient

    database.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(database.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # freed when it is closed, also by a kill
        if not database.exists():
            with atomic_file(database) as part:
                MlflowClient(tracking_uri=f"sqlite:///{part}")
    finally:
        os.close(folder)


def _harden(settings: TrackingSettings) -> None:
    """MLflow reads these when it is imported or at every request; what the user set by MLflow's own names stands."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # where --json answers
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(settings.timeout_s))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(settings.retries))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")


def _knock(store: Store) -> None:
    """Fail at once where a database server does not answer: MLflow itself would try for a hundred seconds."""
    parts = urlsplit(store.uri)
    if store.scheme in _PORTS and parts.hostname:
        address = (parts.hostname, parts.port or _PORTS[store.scheme])
        socket.create_connection(address, timeout=store.settings.timeout_s).close()
