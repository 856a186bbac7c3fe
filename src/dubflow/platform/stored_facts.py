"""What a score card says of the stored model whose clips it judges: which bytes, whose terms, made from what.

A package says it all itself, and its digest is the one that the registry knows it by. Of a bare folder the digest is
over its files, and its terms are known only where everything is ours: in the embedded world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.corpora.cache import content_key
from dubflow.corpora.listing import read_json
from dubflow.diflow.stored import LINEAGE, read_facts
from dubflow.errors import BadInput
from dubflow.media.digest import sha256_file
from dubflow.registry.package.diflow import OWN_LICENCE
from dubflow.registry.package.manifest import PACKAGE
from dubflow.registry.package.opening import read_package


@dataclass(frozen=True)
class StoredFacts:
    """For a card.

    Attributes:
        name: of a package, with the first digits of its digest; empty for a bare folder.
        package: digest of the package, or of the folder's files.
        licences: each once; empty where nobody says, and then no policy that asks for licences lets the model pass.
        lineage: run, data, code, parent, and what else is said plainly; only what is known.
    """

    name: str
    package: str
    licences: tuple[str, ...]
    lineage: Mapping[str, str]


def stored_facts(folder: Path) -> StoredFacts:
    """Of a package, whose files must be what its manifest says, or of a stored model.

    Raises:
        BadInput: as :func:`~dubflow.registry.package.opening.read_package`; ``platform.link_in_model``.
    """
    folder = Path(folder)
    if (folder / PACKAGE).exists():
        package = read_package(folder)
        licences = tuple(sorted({one.licence for one in package.manifest.licences}))
        name = f"{package.name}-{package.digest[:8]}"
        return StoredFacts(name, package.digest, licences, lineage_words(package.lineage().record))
    path = folder / LINEAGE
    content = read_json(path) if path.is_file() else {}
    own = (OWN_LICENCE,) if read_facts(folder).world == "embedded" else ()
    return StoredFacts("", files_digest(folder), own, lineage_words(content if isinstance(content, dict) else {}))


def files_digest(folder: Path) -> str:
    """SHA-256 over names and contents of all files of a folder.

    Raises:
        BadInput: ``platform.link_in_model``: what a link leads to may change without the model changing.
    """
    found = sorted(path for path in Path(folder).rglob("*") if path.is_symlink() or path.is_file())
    links = [path for path in found if path.is_symlink()]
    if links:
        raise BadInput("platform.link_in_model", f"{links[0]} is a link.", "Store the model with the file itself.")
    return content_key({path.relative_to(folder).as_posix(): sha256_file(path) for path in found})


def lineage_words(record: Mapping[str, Any]) -> dict[str, str]:
    """What a training wrote down, as cards tell it."""
    run, versions = record.get("run"), record.get("versions")
    run = run if isinstance(run, dict) else {}
    facts = {
        "run": content_key(run) if run else "",
        "data": run.get("data"),
        "code": f"dubflow {versions['dubflow']}" if isinstance(versions, dict) and "dubflow" in versions else "",
        "parent": run.get("teacher"),
        **{name: record.get(name) for name in ("command", "corpus", "codec", "world")},
    }
    return {name: value for name, value in facts.items() if isinstance(value, str) and value}
