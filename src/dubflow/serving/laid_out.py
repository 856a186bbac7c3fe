"""The model repository of a server's folder."""

from __future__ import annotations

from pathlib import Path

from dubflow.serving.repository import installed_versions, switch_off

REPOSITORY = "repository"
"""Its folder, in the server's."""


def all_off(repository: Path) -> None:
    """Have a server that is about to start load nothing but what it is told to."""
    for version in installed_versions(repository):
        switch_off(repository, version)
