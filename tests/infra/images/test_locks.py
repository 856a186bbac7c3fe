"""An image's lock is a part of the project's lock, as its extras ask for, and up to date."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ROOT / "infra" / "images"
NAMES = ("data", "gateway", "serve", "train")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tool_image_locks", ROOT / "tools" / "image_locks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lock(tool: ModuleType, name: str) -> dict[str, str]:
    found: dict[str, str] = tool.blocks((IMAGES / "locks" / f"{name}.lock").read_text(encoding="utf-8"))
    return found


def test_each_image_has_a_dockerfile_extras_and_a_lock(tool: ModuleType) -> None:
    assert sorted(path.parent.name for path in IMAGES.glob("*/Dockerfile")) == list(NAMES) == sorted(tool.images())
    with (ROOT / "pyproject.toml").open("rb") as file:
        known = set(tomllib.load(file)["project"]["optional-dependencies"])
    for name, image in tool.images().items():
        assert set(image["extras"]) <= known - {"dev"}, name
        assert f"infra/images/locks/{name}.lock" in (IMAGES / name / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_is_a_part_of_the_projects_with_the_same_hashes(tool: ModuleType, name: str) -> None:
    whole, part = tool.locked(), lock(tool, name)
    assert len(part) > 50
    for package, block in part.items():
        assert block == whole[package], package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), package


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_is_what_the_extras_ask_for_today(tool: ModuleType, name: str) -> None:
    found = (IMAGES / "locks" / f"{name}.lock").read_text(encoding="utf-8")
    assert found == tool.image_lock(tool.images()[name]), "run: python tools/image_locks.py"


def test_who_serves_has_no_server_of_anything_else(tool: ModuleType) -> None:
    for name, absent in (
        ("serve", {"kfp", "dvc", "mlflow", "flask", "gunicorn", "alembic", "lightning"}),
        ("gateway", {"kfp", "dvc", "mlflow", "flask", "gunicorn", "torch", "lightning", "nvidia-pytriton"}),
        ("data", {"dvc", "lightning", "diffusers", "nvidia-pytriton"}),
        ("train", {"dvc", "fastapi-cli"}),
    ):
        assert not absent & set(lock(tool, name)), name
        assert not {"pytest", "mypy", "moto", "ruff"} & set(lock(tool, name)), name
    assert "mlflow-skinny" in lock(tool, "serve")
    assert {"kfp", "mlflow"} <= set(lock(tool, "data")) & set(lock(tool, "train"))


def test_an_image_that_would_get_what_it_must_not_have_is_refused(tool: ModuleType) -> None:
    with pytest.raises(SystemExit, match="mlflow"):
        tool.image_lock({"extras": ["registry"], "without": ["mlflow"]})


def test_what_builds_is_locked_too(tool: ModuleType) -> None:
    build = lock(tool, "build")
    with (ROOT / "pyproject.toml").open("rb") as file:
        (backend,) = tomllib.load(file)["build-system"]["requires"]
    assert build["hatchling"].startswith(backend)
    assert {"cython", "numpy", "setuptools"} <= set(build)  # of pyworld, pesq and webrtcvad
    assert all("--hash=sha256:" in block for block in build.values())


def test_the_images_of_components_are_built_here() -> None:
    text = (ROOT / "components" / "place.py").read_text(encoding="utf-8")
    (names,) = re.findall(r"for name in \(([^)]*)\)", text)
    assert set(yaml.safe_load(f"[{names}]")) <= set(NAMES)
