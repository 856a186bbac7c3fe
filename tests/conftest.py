"""Fixtures that every room may use."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Tests run one a core: libraries that start a thread a core on top of that only wait for one another. Set before any of
# them is imported, torch included.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parents[1]


HAS_TORCH = importlib.util.find_spec("torch") is not None
_NEEDS_TORCH = re.compile(r"^(import|from) torch\b|^from dubflow\.diflow\b", re.MULTILINE)


def pytest_report_header() -> list[str]:
    """What is left out on this machine, and why."""
    return [] if HAS_TORCH else ["torch is not installed (extras features, diflow): tests that import it are left out"]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out modules (and folders whose conftest) that import torch, where it is not installed."""
    source = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if HAS_TORCH or source.suffix != ".py" or not source.is_file():
        return None
    return True if _NEEDS_TORCH.search(source.read_text(encoding="utf-8")) else None


@pytest.fixture(scope="session")
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of this version of MLflow; kept between test runs."""
    pytest.importorskip("mlflow", reason="MLflow is not installed (extra tracking)")
    from registry.databases import empty_database

    return empty_database(Path(request.config.cache.mkdir("mlflow")), tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips and figures that lie beside the project and are never committed; tests that need them skip without."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real clips (../shared/data) are not on this machine")
    return folder
