"""What a score card says of the stored model whose clips it judges: which bytes, whose terms, made from what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubflow.corpora.cache import content_key
from dubflow.corpora.listing import read_json
from dubflow.diflow.stored import LINEAGE, read_facts
from dubflow.errors import BadInput
from dubflow.media.digest import sha256_file

OWN_LICENCE = "Apache-2.0"
"""Of dubflow, and so of everything that its embedded world is made of."""


def files_digest(folder: Path) -> str:
    """SHA-256 over names and contents of all files of a stored model.

    Raises:
        BadInput: ``platform.link_in_model``: what a link leads to may change without the model changing.
    """
    found = sorted(path for path in Path(folder).rglob("*") if path.is_symlink() or path.is_file())
    links = [path for path in found if path.is_symlink()]
    if links:
        raise BadInput("platform.link_in_model", f"{links[0]} is a link.", "Store the model with the file itself.")
    return content_key({path.relative_to(folder).as_posix(): sha256_file(path) for path in found})


def licences_of(folder: Path) -> tuple[str, ...]:
    """Licences that the model's lineage names; of the embedded world's models, which are ours throughout, our own.

    Empty where nobody says: then no policy that asks for licences lets the model pass.
    """
    named = _lineage(folder).get("licences")
    if isinstance(named, list) and named and all(isinstance(one, str) for one in named):
        return tuple(sorted(set(named)))
    return (OWN_LICENCE,) if read_facts(folder).world == "embedded" else ()


def lineage_of(folder: Path) -> dict[str, str]:
    """Where the model comes from, as cards tell it: run, data, code, parent, and what else its lineage says plainly."""
    told = _lineage(folder)
    run = told.get("run")
    run = run if isinstance(run, dict) else {}
    versions = told.get("versions")
    facts = {
        "run": content_key(run) if run else "",
        "data": run.get("data"),
        "code": f"dubflow {versions['dubflow']}" if isinstance(versions, dict) and "dubflow" in versions else "",
        "parent": run.get("teacher"),
        **{name: told.get(name) for name in ("command", "corpus", "codec", "world")},
    }
    return {name: value for name, value in facts.items() if isinstance(value, str) and value}


def _lineage(folder: Path) -> Mapping[str, Any]:
    path = Path(folder) / LINEAGE
    content = read_json(path) if path.is_file() else {}
    return content if isinstance(content, dict) else {}
