"""Folders as they pass between steps: told apart by content, and placed where the pipeline wants them.

A step does its work in the workspace, in a folder that is named after everything the work depends on, so a step that is
started again goes on where it was. What it made is then placed as the artifact: linked where both lie on one file
system, copied where not.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubflow.atomic import atomic_dir
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput
from dubflow.media.digest import sha256_file

_TELLING = (
    ("manifest.json", "clips.jsonl"),
    ("index.json",),
    ("package.json",),
    ("model.json", "model.safetensors"),
    ("card.json",),
    ("benchmark.json",),
    ("verdict.json",),
)
"""Files whose content tells a folder's: each names the rest by digest, or is all of it."""
_NOT_PLACED = (".lock", ".locks", "objects", ".stamps.json")


def digest_of(folder: Path) -> str:
    """SHA-256 of what a folder holds.

    Raises:
        BadInput: ``platform.no_artifact``.
    """
    folder = Path(folder)
    if folder.is_file():
        return sha256_file(folder)
    if not folder.is_dir():
        raise BadInput("platform.no_artifact", f"There is no {folder}.", "A step before this one left nothing.")
    for names in _TELLING:
        if all((folder / name).is_file() for name in names):
            return content_key({name: sha256_file(folder / name) for name in names})
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in _NOT_PLACED)
    return content_key({path.relative_to(folder).as_posix(): sha256_file(path) for path in files})


def work_folder(workspace: Path, step: str, parts: Mapping[str, Any]) -> Path:
    """The step's own folder for these inputs, below the workspace; its parent exists."""
    place = workspace / step / content_key(dict(parts))[:16]
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def place(made: Path, artifact: Path) -> Path:
    """Put the folder (or file) ``made`` at ``artifact``, whole or not at all; one that is there stays."""
    made, artifact = Path(made), Path(artifact)
    if artifact.exists():
        return artifact
    if made.is_file():
        artifact.parent.mkdir(parents=True, exist_ok=True)
        _link(str(made), str(artifact))
        return artifact
    with atomic_dir(artifact) as part:
        shutil.copytree(
            made, part, copy_function=_link, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_NOT_PLACED)
        )
    return artifact


def _link(source: str, target: str) -> None:
    # Everything that verbs write is replaced and never changed in place, so two names of one file are safe.
    # A link in the work folder (of an imported corpus) is followed: an artifact holds its files.
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)
