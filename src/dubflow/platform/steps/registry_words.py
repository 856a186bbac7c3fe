"""How steps name the registry, and who is champion there."""

from __future__ import annotations

from typing import Any

from dubflow.platform.steps.verbs import run_verb


def registry_words(registry: str) -> list[str]:
    """The option that names it; nothing where the environment does."""
    return ["--registry", registry] if registry else []


def versions_of(registry: str, name: str) -> list[dict[str, Any]]:
    """All versions of a model, as ``dubflow models list`` tells them; none where the registry does not know it."""
    answer = run_verb("models", "list", *registry_words(registry))
    return [one for one in answer["versions"] if one["model"] == name]


def champion_of(registry: str, name: str) -> dict[str, Any] | None:
    """The version in use, or None."""
    return next((one for one in versions_of(registry, name) if "champion" in one["aliases"]), None)
