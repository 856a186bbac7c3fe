"""The champion's package where steps can use it."""

from __future__ import annotations

from pathlib import Path

from dubflow.errors import BadInput
from dubflow.platform.steps.artifacts import work_folder
from dubflow.platform.steps.registry_words import champion_of, registry_words
from dubflow.platform.steps.verbs import run_verb


def champion_folder(root: Path, registry: str, name: str) -> Path:
    """The champion's package in the workspace, fetched (and its signature checked) where it is not there yet.

    Raises:
        BadInput: ``platform.no_champion``, and what ``dubflow models fetch`` refuses.
    """
    champion = champion_of(registry, name)
    if champion is None:
        raise BadInput("platform.no_champion", f"Nobody is champion of {name}.", "A run must promote one first.")
    folder = work_folder(root, "champions", {"package": champion.package})
    if not folder.is_dir():  # fetched whole, and never changed
        run_verb("models", "fetch", name, "--out", str(folder), *registry_words(registry))
    return folder
