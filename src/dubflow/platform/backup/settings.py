"""What is copied and where it lies, by the settings that the registry and the gateway themselves have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.config import Settings
from dubflow.errors import WrongUse
from dubflow.gateway.settings import load_settings
from dubflow.registry.journal import JournalSettings
from dubflow.registry.tracking_store import store_of

Part = Literal["registry", "jobs"]
PARTS: tuple[Part, ...] = ("registry", "jobs")
_DEBIAN = Path("/usr/lib/postgresql")


class BackupSettings(BaseSettings):
    """What the environment may set, under the prefix ``DUBFLOW_BACKUP_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_BACKUP_", extra="ignore", frozen=True)

    registry: str | None = Field(
        None, description="MLflow's own database, where DUBFLOW_MLFLOW_URI names a tracking server."
    )
    artifacts: str | None = Field(None, description="MLflow's files: file:///… or s3://…, as Arrow takes it.")
    postgres_bin: Path | None = Field(None, description="Folder of pg_dump and pg_restore; PATH, then Debian's.")
    dump_s: float = Field(3600.0, gt=0, description="Longest time that a dump or a restore of a database may take.")


@dataclass(frozen=True)
class Source:
    """A database or a tree of files.

    Attributes:
        name: within a backup. parts: that it belongs to; a database may serve both.
        address: URL as SQLAlchemy writes it, or the address of a storage.
        may_vanish: whether somebody may remove files while they are copied, as retention does.
    """

    name: str
    parts: tuple[Part, ...]
    address: str
    may_vanish: bool = False


@dataclass(frozen=True)
class Sources:
    """Everything that a deployment keeps; ``databases`` in the order in which they are copied."""

    databases: tuple[Source, ...]
    trees: tuple[Source, ...]


def sources(parts: tuple[Part, ...] = PARTS, *, state: Path | None = None) -> Sources:
    """What the settings of registry and gateway name.

    The journal comes before MLflow's database where they are two: a version is in MLflow before the journal names it,
    so whatever the copy of the journal names is in the later copy of MLflow.

    Raises:
        WrongUse: ``platform.backup_needs_database`` for a tracking server whose database is not named;
            ``platform.backup_needs_artifacts``; those of the settings.
    """
    own = BackupSettings()
    found: dict[str, Source] = {}
    trees: list[Source] = []

    def add(name: str, part: Part, url: str) -> None:
        known = next((one for one in found.values() if one.address == url), None)
        if known is None:
            found[name] = Source(name, (part,), url)
        elif part not in known.parts:
            found[known.name] = Source(known.name, (*known.parts, part), url)

    if "registry" in parts:
        store = store_of(None, Settings().home / "models")
        database = own.registry or (store.uri if store.scheme not in ("http", "https") else None)
        if database is None:
            raise WrongUse(
                "platform.backup_needs_database",
                f"{store.shown} is a tracking server; its database and files are what is to be copied.",
                "Set DUBFLOW_BACKUP_REGISTRY=postgresql+psycopg://… and DUBFLOW_BACKUP_ARTIFACTS=s3://….",
            )
        artifacts = own.artifacts or (store.artifacts if own.registry is None else None)
        if artifacts is None:
            raise WrongUse(
                "platform.backup_needs_artifacts",
                "It is not known where MLflow's files lie.",
                "Set DUBFLOW_BACKUP_ARTIFACTS=s3://… (or file:///…).",
            )
        if (journal := JournalSettings().journal) is not None:
            add("journal", "registry", journal)
        add("mlflow", "registry", database)
        trees.append(Source("artifacts", ("registry",), reachable(artifacts)))
    if "jobs" in parts:
        gateway = load_settings(state=state)
        add("gateway", "jobs", gateway.database_url)
        trees.append(Source("files", ("jobs",), gateway.files_root, may_vanish=True))
    return Sources(tuple(found.values()), tuple(trees))


def reachable(uri: str) -> str:
    """An address of MLflow's as our storage takes it: another endpoint than Amazon's is in its query."""
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL")
    parts = urlsplit(uri)
    if parts.scheme == "" and uri.startswith("/"):
        return Path(uri).as_uri()
    if parts.scheme != "s3" or parts.query or not endpoint:
        return uri
    there = urlsplit(endpoint)
    return f"{uri}?scheme={there.scheme}&endpoint_override={there.netloc}"


def program(name: str) -> Path:
    """``pg_dump`` or ``pg_restore``, the newest there is: a dump is not made by one that is older than the server.

    Raises:
        WrongUse: ``platform.no_postgres_programs``.
    """
    for folder in _folders():
        if (folder / name).is_file():
            return folder / name
    raise WrongUse(
        "platform.no_postgres_programs",
        f"{name} is not installed here.",
        "Install Debian's postgresql-client, or set DUBFLOW_BACKUP_POSTGRES_BIN.",
    )


def _folders() -> Iterator[Path]:
    chosen = BackupSettings().postgres_bin
    if chosen is not None:
        yield chosen
        return
    versions = [path for path in _DEBIAN.glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(versions, key=lambda path: -int(path.parent.name))
    if (found := shutil.which("pg_dump")) is not None:
        yield Path(found).resolve().parent
