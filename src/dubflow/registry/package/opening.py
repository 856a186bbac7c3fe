"""Opens packages: signature and every file are checked before anybody loads anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.errors import BadInput
from dubflow.registry.package.contents import check_contents, files_below
from dubflow.registry.package.facts import DiflowFacts, IncontextFacts
from dubflow.registry.package.lineage import Lineage, read_lineage
from dubflow.registry.package.manifest import LINEAGE, PACKAGE, WEIGHTS, PackageManifest, read_manifest
from dubflow.registry.package.signing import verify_folder


@dataclass(frozen=True)
class ModelPackage:
    """A package whose every file is what its manifest says.

    Attributes:
        signed_by: fingerprint of the trusted key that signed it; None where nobody asked (:func:`read_package`).
    """

    folder: Path
    manifest: PackageManifest
    signed_by: str | None = None

    @property
    def digest(self) -> str:
        """By which score cards, verdicts and the registry name these very bytes."""
        return self.manifest.digest

    @property
    def name(self) -> str:
        """Of the model."""
        return self.manifest.name

    @property
    def facts(self) -> DiflowFacts | IncontextFacts:
        """What it says of itself."""
        return self.manifest.facts

    def lineage(self) -> Lineage:
        """What it was made of.

        Raises:
            BadInput: ``registry.bad_lineage``, also when it is the lineage of other weights.
        """
        found = read_lineage(self.folder / LINEAGE)
        weights = next(file.sha256 for file in self.manifest.files if file.path == WEIGHTS)
        if found.model.digest != weights:
            raise BadInput(
                "registry.bad_lineage",
                f"{LINEAGE} of {self.folder} leads to other weights than {WEIGHTS}.",
                "Pack the model again.",
            )
        return found


def open_package(folder: Path, trusted_keys: Sequence[Path]) -> ModelPackage:
    """The package of ``folder``, if its files are whole and one of ``trusted_keys`` (public, PEM) signed them.

    Everything is read and nothing is loaded: weights stay bytes until this has returned.

    Raises:
        BadInput: those of :func:`read_package` and
            :func:`dubflow.registry.package.signing.verify_folder`, each naming the file.
        WrongUse: ``registry.no_trusted_key``, ``install.missing_extra``.
    """
    package = read_package(folder)
    return ModelPackage(package.folder, package.manifest, verify_folder(folder, package.manifest, trusted_keys))


def read_package(folder: Path) -> ModelPackage:
    """The package of ``folder``, if its files are whole; whoever signed it, if anybody did.

    Enough to look at a package, not to load one that came from elsewhere.

    Raises:
        BadInput: those of :func:`dubflow.registry.package.manifest.read_manifest` and
            :func:`dubflow.registry.package.contents.check_contents`.
    """
    folder = Path(folder)
    if (folder / PACKAGE).is_symlink():
        files_below(folder)  # says by name that it is a link
    manifest = read_manifest(folder)
    check_contents(folder, manifest)
    return ModelPackage(folder, manifest)
