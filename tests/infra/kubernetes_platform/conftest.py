"""The overlays, rendered once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.platform.preflight.rendering import overlays, render_overlay
from dubflow.platform.preflight.resources import Manifests

NAMES = ("dev", "gpu", "prod")


@pytest.fixture(scope="session")
def kubernetes(repository: Path) -> Path:
    """The folder ``infra/kubernetes``."""
    return repository / "infra" / "kubernetes"


@pytest.fixture(scope="session")
def rendered(kubernetes: Path) -> dict[str, Manifests]:
    """Every overlay by its name."""
    assert overlays(kubernetes) == list(NAMES)
    return {name: render_overlay(kubernetes, name).manifests for name in NAMES}


@pytest.fixture(scope="session", params=NAMES)
def manifests(request: pytest.FixtureRequest, rendered: dict[str, Manifests]) -> Manifests:
    """One overlay after another."""
    return rendered[request.param]
