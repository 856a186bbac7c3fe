"""The overlays, rendered once, by our own renderer: tests need no kubectl."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.platform.preflight.rendering import render_overlay
from dubflow.platform.preflight.resources import Manifests

OVERLAYS = ("dev", "gpu", "prod")


@pytest.fixture(scope="session")
def kubernetes(repository: Path) -> Path:
    return repository / "infra" / "kubernetes"


@pytest.fixture(scope="session", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest, kubernetes: Path) -> Manifests:
    """One overlay after another."""
    return render_overlay(kubernetes, request.param, "built-in").manifests
