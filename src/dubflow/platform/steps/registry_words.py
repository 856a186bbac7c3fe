"""How steps name the registry, and who is champion there."""

from __future__ import annotations

from dataclasses import dataclass

from dubflow.config import Settings
from dubflow.registry.journal import Journal
from dubflow.registry.tracking_store import store_of


@dataclass(frozen=True)
class Champion:
    """The version in use, and the digest of its package."""

    version: int
    package: str


def registry_words(registry: str) -> list[str]:
    """The option that names it; nothing where the environment does."""
    return ["--registry", registry] if registry else []


def registry_uri(registry: str = "") -> str:
    """Where it is: as given, as the environment says, or the database of DUBFLOW_HOME."""
    return store_of(registry or None, Settings().home / "models").uri


def champion_of(registry: str, name: str) -> Champion | None:
    """Who is in use by the history, which is the truth; MLflow itself need not be started for it."""
    store = store_of(registry or None, Settings().home / "models")
    state = Journal(store).state(name)
    if state.champion is None:
        return None
    return Champion(state.champion, state.package(state.champion) or "")
