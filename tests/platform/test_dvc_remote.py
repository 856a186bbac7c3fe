"""The demo's remote is there to push to, and nobody's own remote is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dubflow.platform.dvc_remote import set_up_remote

pytest.importorskip("dvc", reason="DVC is not installed (extra data)")
CONFIG = "[core]\n    analytics = false\n    site_cache_dir = .dvc/tmp/site\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of git and DVC whose user has no configuration of their own."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    folder = tmp_path / "my checkout"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text(CONFIG)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def dvc(checkout: Path, *words: str) -> str:
    program = Path(sys.executable).parent / "dvc"
    return subprocess.run([program, *words], cwd=checkout, capture_output=True, text=True, check=True).stdout


def test_what_is_pushed_lies_below_the_demo_and_comes_back(checkout: Path) -> None:
    made = set_up_remote(checkout, checkout / "demo")
    assert made == (checkout / "demo" / "dvc").resolve()
    assert (checkout / ".dvc" / "config").read_text() == CONFIG
    data = checkout / "data.txt"
    data.write_text("content")
    dvc(checkout, "add", "data.txt")
    dvc(checkout, "push")
    assert [path.read_text() for path in made.rglob("*") if path.is_file()] == ["content"]
    assert set_up_remote(checkout, checkout / "other") is None, "it has one now"


@pytest.mark.parametrize("file", [".dvc/config", ".dvc/config.local", "../home/dvc/config"])
def test_a_remote_that_somebody_named_stays_the_only_one(checkout: Path, file: str) -> None:
    path = checkout / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((CONFIG if file == ".dvc/config" else "") + "['remote \"mine\"']\n    url = s3://mine/dvc\n")
    before = path.read_bytes()
    assert set_up_remote(checkout, checkout / "demo") is None
    assert path.read_bytes() == before
    assert not (checkout / "demo").exists()
    assert (checkout / ".dvc" / "config.local").exists() == (file == ".dvc/config.local")


def test_settings_of_ones_own_stay(checkout: Path) -> None:
    (checkout / ".dvc" / "config.local").write_text("[core]\n    check_update = true\n")
    assert set_up_remote(checkout, checkout / "demo") is not None
    assert dvc(checkout, "config", "core.check_update").split() == ["true"]
    assert dvc(checkout, "config", "core.remote").split() == ["demo"]


def test_where_it_does_not_fit_nothing_happens(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set_up_remote(checkout, tmp_path / "elsewhere") is None
    assert set_up_remote(tmp_path, tmp_path / "demo") is None
    (checkout / ".dvc" / "config.local").write_text("[core\nbroken")
    assert set_up_remote(checkout, checkout / "demo") is None
    (checkout / ".dvc" / "config.local").unlink()
    monkeypatch.setitem(sys.modules, "dvc.config", None)  # as where it is not installed
    assert set_up_remote(checkout, checkout / "demo") is None
    assert not (checkout / ".dvc" / "config.local").exists()
