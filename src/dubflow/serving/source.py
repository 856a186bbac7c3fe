"""Where the version comes from that should serve: the registry's champion, or one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dubflow.atomic import atomic_dir
from dubflow.errors import DubflowError
from dubflow.registry.licences import LicencePolicy, check_licences
from dubflow.registry.package.manifest import PACKAGE, read_manifest
from dubflow.registry.package.opening import open_package, read_package
from dubflow.serving.export import FILE as EXPORT
from dubflow.serving.export import MODEL, read_export
from dubflow.serving.state import STARTER_VERSION

if TYPE_CHECKING:
    from dubflow.registry.models import Registry


@dataclass(frozen=True)
class Wanted:
    """A version that should serve.

    Attributes:
        package: digest; None for a stored model. change: number of the change that made it so; a refused version is
            tried again where this is another.
    """

    version: int
    package: str | None
    change: int


class Source(Protocol):
    """Says who should serve, and brings the files."""

    def wanted(self) -> Wanted | None:
        """Who should serve now; None while nobody should.

        Raises:
            OurFault: where it cannot be asked; whoever serves goes on.
        """

    def next_one(self) -> Wanted | None:
        """Who may be wanted soon, so that it can be made ready; None where nobody knows."""

    def bring(self, wanted: Wanted, into: Path) -> None:
        """Copy the model's files into the new folder ``into``, once signature and licences have been checked.

        Raises:
            BadInput: what is wrong with them. OurFault: where they cannot be reached now.
        """


class RegistrySource:
    """The champion of a model. The history is asked, so MLflow itself is only needed to bring files."""

    def __init__(
        self, registry: Registry, model: str, trusted_keys: Sequence[Path] = (), policy: LicencePolicy | None = None
    ) -> None:
        self._registry, self._model, self._keys, self._policy = registry, model, tuple(trusted_keys), policy

    def wanted(self) -> Wanted | None:
        """See :class:`Source`."""
        return self._alias("champion")

    def next_one(self) -> Wanted | None:
        """The challenger, unless it has been champion already."""
        return self._alias("challenger")

    def bring(self, wanted: Wanted, into: Path) -> None:
        """See :class:`Source`."""
        package = self._registry.fetch(self._model, wanted.version, into, self._keys)
        if self._policy is not None:
            try:
                check_licences(package.manifest.licences, self._policy)
            except DubflowError:
                shutil.rmtree(into)
                raise

    def _alias(self, alias: str) -> Wanted | None:
        state = self._registry.journal.state(self._model)
        version = state.champion if alias == "champion" else state.challenger
        return None if version is None else Wanted(version, state.package(version), state.number)


class FolderSource:
    """One folder; for a server without a registry: a package or a stored model as version 0, an export as its own."""

    def __init__(self, folder: Path, trusted_keys: Sequence[Path] = (), policy: LicencePolicy | None = None) -> None:
        folder, self._version = Path(folder), STARTER_VERSION
        if (folder / EXPORT).is_file():
            folder, self._version = folder / MODEL, read_export(folder).version
        self._folder, self._keys, self._policy = folder, tuple(trusted_keys), policy

    def wanted(self) -> Wanted:
        """See :class:`Source`."""
        packed = (self._folder / PACKAGE).is_file()
        return Wanted(self._version, read_manifest(self._folder).digest if packed else None, 0)

    def next_one(self) -> None:
        """Nobody."""
        return

    def bring(self, wanted: Wanted, into: Path) -> None:
        """See :class:`Source`; a package must be signed by a trusted key where any is named."""
        if wanted.package is not None:
            package = open_package(self._folder, self._keys) if self._keys else read_package(self._folder)
            if self._policy is not None:
                check_licences(package.manifest.licences, self._policy)
        with atomic_dir(into) as part:
            shutil.copytree(self._folder, part, dirs_exist_ok=True)
