"""Versions of models: what the registry knows of each, and its files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dubflow.errors import BadInput, WrongUse
from dubflow.registry.history import ALIASES, State
from dubflow.registry.package.opening import ModelPackage
from dubflow.registry.tracking_store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

DIGEST_TAG = "dubflow.digest"


@dataclass(frozen=True)
class Version:
    """A version of a model.

    Attributes:
        package: digest of its package; None for a version that dubflow did not register.
        source: where its files lie. created: UTC, ISO 8601. run: MLflow's id of the run that its files belong to.
    """

    model: str
    version: int
    package: str | None
    source: str
    created: str
    run: str | None
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


def version_of(found: ModelVersion, state: State) -> Version:
    """What MLflow and the history say of a version."""
    number = int(found.version)
    created = datetime.fromtimestamp(int(found.creation_timestamp) / 1000, UTC).isoformat(timespec="seconds")
    return Version(
        model=str(found.name),
        version=number,
        # The history's word counts: tags can be changed by anybody.
        package=state.package(number),
        source=str(found.source),
        created=created,
        run=str(found.run_id) if found.run_id else None,
        tags={str(name): str(value) for name, value in found.tags.items()},
        aliases=tuple(str(alias) for alias, version in state.aliases.items() if version == number),
    )


def number_of(state: State, which: str | int) -> int | None:
    """The version that a number or an alias means; None where the alias is not set.

    Raises:
        WrongUse: ``registry.bad_version``.
    """
    if isinstance(which, int) or which.isdecimal():
        return int(which)
    if which not in ALIASES:
        raise WrongUse(
            "registry.bad_version", f"{which!r} is no version.", f"Give a number or one of {', '.join(ALIASES)}."
        )
    return {str(alias): version for alias, version in state.aliases.items()}.get(which)


@contextmanager
def files_of(store: Store, version: Version) -> Iterator[Path]:
    """A version's files on this machine, for the length of a ``with`` block.

    Raises:
        BadInput: ``registry.files_gone``.
    """
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory(prefix="dubflow-package-") as room:
        local = version.source.startswith(("file:", "/"))
        try:
            found = download_artifacts(
                artifact_uri=version.source, dst_path=None if local else room, tracking_uri=store.uri
            )
        except Exception as error:
            raise BadInput(
                "registry.files_gone",
                f"The files of {version.model} {version.version} cannot be read from {version.source} "
                f"({type(error).__name__}).",
                "Register the package again, or bring the storage back.",
            ) from error
        yield Path(found)


def check_digest(version: Version, package: ModelPackage) -> None:
    """Whether the files that were read are the package that was registered.

    Raises:
        BadInput: ``registry.package_changed``.
    """
    if version.package != package.digest:
        raise BadInput(
            "registry.package_changed",
            f"The files of {version.model} {version.version} are the package {package.digest[:16]}…, "
            f"not {(version.package or 'any')[:16]}… that was registered.",
            "Somebody put other files there. Do not use them; register the package again.",
        )
