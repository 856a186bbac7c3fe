"""The engine of a served folder in this process: where Triton cannot run, and to compare Triton with."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from dubflow.dubbing.engine import Engine
from dubflow.registry.package.facts import IncontextFacts
from dubflow.registry.package.manifest import PACKAGE, read_manifest
from dubflow.serving.repository import no_engine

_MOST = 2  # the current version and the one before it
_kept: dict[tuple[Path, str | None], Engine[Any]] = {}
_lock = threading.Lock()


def engine_of(folder: Path) -> Engine[Any]:
    """The engine of a package whose signature was checked, or of a stored model.

    Raises:
        BadInput: ``serving.no_engine``, and what reading the model says.
    """
    if (folder / PACKAGE).is_file():
        manifest = read_manifest(folder)
        if isinstance(manifest.facts, IncontextFacts):
            raise no_engine(manifest.name)
    from dubflow.dubbing.diflow_engine import DiflowEngine

    return DiflowEngine.open(folder)


def kept_engine(folder: Path, digest: str | None) -> Engine[Any]:
    """As :func:`engine_of`; the last two are kept, so that asking again costs nothing."""
    key = (Path(folder).absolute(), digest)
    with _lock:
        if key not in _kept:
            while len(_kept) >= _MOST:
                _kept.pop(next(iter(_kept)))
            _kept[key] = engine_of(key[0])
        return _kept[key]
