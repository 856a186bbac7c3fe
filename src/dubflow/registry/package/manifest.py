"""``package.json``: what a package is, of which files it consists, under which licences; and its digest.

The digest is over everything in ``package.json``, which names every file with its SHA-256, so it stands for all bytes
of the package except the signature (signing again does not make another model). Nothing in it depends on the time or
the place where it was made: the same model packed twice is the same package.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from dubflow.config import Strict
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput
from dubflow.judging.card.rows import Digest
from dubflow.registry.package.facts import PackageFacts

FORMAT: Literal["dubflow.package/1"] = "dubflow.package/1"
PACKAGE, SIGNATURE = "package.json", "model.sig"
WEIGHTS, CONFIG, CARD, LINEAGE = "model.safetensors", "model.json", "card.md", "lineage.json"
ALWAYS = (WEIGHTS, CONFIG, CARD, LINEAGE)
"""Files that every package has beside ``package.json``."""
SUFFIXES = frozenset((".safetensors", ".json", ".md"))
"""Kinds of files that a package may hold: none of them can carry code."""

NAME = r"[a-z0-9][a-z0-9._-]{0,99}"
"""What models may be called: their names are folders and parts of addresses."""
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}")
_MOST_BYTES = 4 * 2**20
_MOST_FILES = 1000


class FileFacts(Strict):
    """One file."""

    path: str = Field(description="Within the package, with slashes.")
    sha256: Digest
    bytes: int = Field(ge=0)


class PartLicence(Strict):
    """The licence of something the model is made of or from."""

    part: str = Field(min_length=1, description="Such as weights, codec, corpus grid, base ltx-2.")
    licence: str = Field(min_length=1, description="SPDX, or LicenseRef-… where SPDX has none.")
    note: str = ""


class PackageManifest(Strict):
    """What stands in ``package.json``."""

    format: Literal["dubflow.package/1"] = FORMAT
    name: str = Field(pattern=f"^{NAME}$", description="Of the model in the registry.")
    facts: PackageFacts
    licences: tuple[PartLicence, ...] = Field(min_length=1)
    files: tuple[FileFacts, ...] = Field(min_length=len(ALWAYS), max_length=_MOST_FILES)
    digest: Digest = Field(description="Of all the above.")

    @field_validator("files")
    @classmethod
    def _sorted_and_whole(cls, files: tuple[FileFacts, ...]) -> tuple[FileFacts, ...]:
        names = [file.path for file in files]
        # Two names that differ in case are one file on some systems.
        twice = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
        if twice or names != sorted(names):
            raise ValueError(f"files must be sorted and stand once: {', '.join(twice) or 'not sorted'}")
        missing = [name for name in ALWAYS if name not in names]
        if missing:
            raise ValueError(f"the list lacks {', '.join(missing)}")
        return files

    @model_validator(mode="after")
    def _digest_is_its_own(self) -> PackageManifest:
        if self.digest != digest_of(self.model_dump(mode="json")):
            raise ValueError("the digest is not that of the content")
        return self

    @property
    def kind(self) -> Literal["diflow", "incontext"]:
        """Which family."""
        return self.facts.kind

    @property
    def tags(self) -> tuple[str, ...]:
        """Its licences, each once."""
        return tuple(sorted({part.licence for part in self.licences}))


def digest_of(content: dict[str, Any]) -> str:
    """Digest of a manifest given as JSON, whatever stands at ``digest``."""
    return content_key({name: value for name, value in content.items() if name != "digest"})


def inside(path: str) -> bool:
    """Whether a listed path stays within the package, whatever system it is unpacked on."""
    return _PATH.fullmatch(path) is not None and path not in (PACKAGE, SIGNATURE)


def read_manifest(folder: Path) -> PackageManifest:
    """Read ``package.json``; says nothing yet about the other files.

    Raises:
        BadInput: ``registry.not_a_package``, ``registry.unknown_package_format``, ``registry.bad_package``,
            ``registry.package_path_escapes``, ``registry.package_changed`` when it is not what its digest says.
    """
    path = Path(folder) / PACKAGE
    if path.is_symlink() or not path.is_file():
        raise BadInput(
            "registry.not_a_package", f"{folder} has no {PACKAGE}.", "Make a package: dubflow models package."
        )
    content = _json(path)
    found = content.get("format")
    if found != FORMAT:
        raise BadInput(
            "registry.unknown_package_format",
            f"{path} is of format {found!r}; this dubflow reads {FORMAT}.",
            "Pack the model again with this version.",
        )
    _check_paths(path, content.get("files"))
    if content.get("digest") != digest_of(content):
        raise BadInput(
            "registry.package_changed",
            f"{PACKAGE} of {folder} was changed: its content is not what its digest says.",
            "Fetch the package again from where it was made.",
            file=PACKAGE,
        )
    try:
        return PackageManifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise _bad(path, f"{where}: {first['msg']}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise _bad(path, f"it is larger than {_MOST_BYTES} bytes")
        parsed = json.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _bad(path, f"it is not JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise _bad(path, "it is no object")
    return parsed


def _check_paths(where: Path, files: Any) -> None:
    for file in files if isinstance(files, list) else ():
        path = file.get("path") if isinstance(file, dict) else None
        if isinstance(path, str) and not inside(path):
            raise BadInput(
                "registry.package_path_escapes",
                f"{where} lists the file {path!r}, which no package may have.",
                "Do not use this package: whoever made it wanted files elsewhere touched, or made it by hand.",
                file=path,
            )


def _bad(path: Path, problem: str) -> BadInput:
    return BadInput("registry.bad_package", f"{path} does not describe a package: {problem}.", "Pack the model again.")
