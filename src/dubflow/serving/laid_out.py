"""Which versions lie in the model repository of a server's folder."""

from __future__ import annotations

from pathlib import Path

from dubflow.serving.repository import FRONT, OFF, UNREGISTERED, switch_off
from dubflow.serving.state import STARTER_VERSION

REPOSITORY = "repository"
"""Its folder, in the server's."""


def versions_in(repository: Path) -> set[int]:
    """Versions of the registry that lie in a model repository, loaded or not."""
    names = {folder.name.removesuffix(OFF) for folder in (repository / FRONT).glob("[0-9]*")}
    numbers = {int(name) for name in names if name.isdigit()}
    return {STARTER_VERSION if number == UNREGISTERED else number for number in numbers}


def all_off(repository: Path) -> None:
    """Have a server that is about to start load nothing but what it is told to."""
    for version in versions_in(repository):
        switch_off(repository, version)
