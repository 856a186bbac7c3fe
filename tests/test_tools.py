"""The tools behind ``make``: what they remember, and what they ask of a machine."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_pass_is_forgotten_when_code_clips_or_packages_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = _tool("check")
    root, clips, packages = tmp_path / "tree", tmp_path / "shared" / "data", tmp_path / "packages"
    for folder in (root, clips, packages):
        folder.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    monkeypatch.setattr(check, "ROOT", root)
    monkeypatch.setattr(check.sysconfig, "get_path", lambda _: str(packages))
    seen = [check.tree_digest()]
    assert check.tree_digest() == seen[0]
    changes = (
        lambda: (root / "a.py").write_text("1"),
        lambda: (root / "a.py").write_text("2"),
        lambda: (clips / "a.mpg").write_text("1"),
        lambda: (clips / "a.mpg").write_text("22"),
        lambda: (packages / "numpy-2.0.dist-info").mkdir(),
    )
    for change in changes:
        change()
        seen.append(check.tree_digest())
    assert len(set(seen)) == len(seen)


def test_a_machine_without_compiler_headers_and_venv_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap = _tool("bootstrap")
    bare = tmp_path / "python3"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    # A C compiler alone does not do: pyworld is C++.
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: "/usr/bin/cc" if name in ("cc", "gcc") else None)
    monkeypatch.setattr(bootstrap.sysconfig, "get_path", lambda _: str(tmp_path))
    problems = " ".join(bootstrap.missing_system_packages(str(bare)))
    assert all(package in problems for package in ("python3-venv", "build-essential", "python3-dev"))


def test_an_environment_of_another_place_or_python_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = _tool("bootstrap")
    here = bootstrap.lock_digest()
    assert bootstrap.lock_digest() == here
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 99, 0))
    assert bootstrap.lock_digest() != here
