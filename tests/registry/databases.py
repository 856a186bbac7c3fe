"""An empty MLflow database, set up once: left to itself each would take MLflow twenty seconds."""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path

from dubflow.registry.tracking_store import client_of, store_of


def empty_database(kept_in: Path, room: Path) -> Path:
    """The database of this version of MLflow in ``kept_in``, made in ``room`` if it is not there yet."""
    kept = kept_in / f"empty-{metadata.version('mlflow')}.db"
    if not kept.exists():
        fresh = room / "empty.db"
        client_of(store_of(f"sqlite:///{fresh}", room / "run"))
        part = kept.with_name(f"{kept.name}.{os.getpid()}")
        shutil.copyfile(fresh, part)
        part.replace(kept)
    return kept
