"""Makes packages: files copied, listed with their digests, signed, and put in place whole."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.atomic import PARTIAL, write_json, write_text
from dubflow.errors import WrongUse
from dubflow.media.digest import sha256_file
from dubflow.registry.package.contents import check_contents, files_below
from dubflow.registry.package.facts import DiflowFacts, IncontextFacts
from dubflow.registry.package.lineage import Lineage
from dubflow.registry.package.manifest import (
    CARD,
    FORMAT,
    LINEAGE,
    NAME,
    PACKAGE,
    FileFacts,
    PackageManifest,
    PartLicence,
    digest_of,
)
from dubflow.registry.package.opening import ModelPackage, read_package
from dubflow.registry.package.signing import sign_folder


@dataclass(frozen=True)
class Contents:
    """What goes into a package.

    Attributes:
        files: what is copied: path within the package, and where it lies now; weights and configuration among them.
        card: Markdown; the licences are added to it.
    """

    name: str
    facts: DiflowFacts | IncontextFacts
    licences: Sequence[PartLicence]
    lineage: Lineage
    card: str
    files: Mapping[str, Path]


def pack(contents: Contents, out: Path, key: Path | None) -> ModelPackage:
    """Write the package; it appears whole or not at all. The same contents are the same package, which is found then.

    Args:
        out: folder that does not exist yet, or that holds this very package.
        key: private key that signs it; None for a package that is not signed.

    Raises:
        WrongUse: ``registry.package_exists``, ``registry.bad_name``.
        BadInput: ``registry.bad_signing_key``, and what :func:`read_package` says of files that no package may hold.
    """
    if re.fullmatch(NAME, contents.name) is None:
        raise WrongUse(
            "registry.bad_name",
            f"{contents.name!r} is no name for a model.",
            "Take small letters, digits, dots, dashes and underscores; begin with a letter or digit.",
        )
    out = Path(out)
    room = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
    # Signatures name the folder they were made in, so it has its real name within the partial one.
    part = room / contents.name
    part.mkdir(parents=True)
    try:
        for path, source in contents.files.items():
            target = part / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target, follow_symlinks=False)
        write_text(part / CARD, _card(contents))
        write_json(part / LINEAGE, contents.lineage.model_dump(mode="json", exclude_defaults=True) | _LINEAGE_FORMAT)
        manifest = _manifest(contents, part)
        write_json(part / PACKAGE, manifest.model_dump(mode="json"))
        check_contents(part, manifest)
        if out.exists():
            return _found(out, manifest)
        if key is not None:
            sign_folder(part, key)
        part.rename(out)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return ModelPackage(out, manifest)


def licence_table(licences: Iterable[PartLicence]) -> str:
    """The licences in Markdown."""
    rows = [f"| {one.part} | {one.licence} | {one.note} |" for one in licences]
    return "\n".join(["| part | licence | |", "|---|---|---|", *rows])


_LINEAGE_FORMAT = {"format": "dubflow.lineage/1"}


def _card(contents: Contents) -> str:
    table = licence_table(contents.licences)
    return f"{contents.card.rstrip()}\n\n## Licences\n\n{table}\n"


def _manifest(contents: Contents, part: Path) -> PackageManifest:
    files = [
        FileFacts(path=name, sha256=sha256_file(path), bytes=path.stat().st_size)
        for name, path in sorted(files_below(part).items())
    ]
    content = {
        "format": FORMAT,
        "name": contents.name,
        "facts": contents.facts.model_dump(mode="json"),
        "licences": [one.model_dump(mode="json") for one in contents.licences],
        "files": [file.model_dump(mode="json") for file in files],
    }
    return PackageManifest.model_validate({**content, "digest": digest_of(content)})


def _found(out: Path, manifest: PackageManifest) -> ModelPackage:
    """What lies at ``out``, if it is the very same."""
    if (out / PACKAGE).is_file():
        found = read_package(out)
        if found.digest == manifest.digest:
            return found
    raise WrongUse("registry.package_exists", f"{out} exists and holds something else.", "Name a new folder.")
