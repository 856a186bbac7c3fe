"""A place for `dvc push` on this machine, for a checkout that has none yet."""

from __future__ import annotations

import importlib
from pathlib import Path

REMOTE = "demo"
FOLDER = "dvc"


def set_up_remote(checkout: Path, home: Path) -> Path | None:
    """Name a folder below ``home`` as the remote of ``checkout``, in ``.dvc/config.local``, which is never committed.

    Does nothing, and returns None, where ``checkout`` is no checkout of git and DVC, where ``home`` lies outside of it,
    where anybody has configured a remote at any level (system, user, repository, local), and where that cannot be told
    (DVC is not installed, a configuration is broken, nothing can be written). Raises nothing.
    """
    checkout, home = Path(checkout).resolve(), Path(home).resolve()
    ours = all((checkout / name).exists() for name in (".git", ".dvc/config", "dvc.yaml"))
    if not ours or not home.is_relative_to(checkout):
        return None
    folder = home / FOLDER
    try:
        # By name: DVC is optional, and takes a moment to import.
        config = importlib.import_module("dvc.config").Config(str(checkout / ".dvc"))
        if config["remote"] or config["core"].get("remote"):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        with config.edit("local") as local:
            local.setdefault("remote", {})[REMOTE] = {"url": str(folder)}
            local.setdefault("core", {})["remote"] = REMOTE
    except Exception:
        # The demo has done its work by now; whoever wants to push may name a remote by hand.
        return None
    return folder
