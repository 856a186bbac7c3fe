"""What a run says of itself is true and names no machine."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
from pathlib import Path

import numpy
import pytest

from dubflow.registry.run_facts import git_facts, run_facts, usage


def test_facts_name_versions_and_no_machine(repository: Path) -> None:
    facts = run_facts()
    assert facts["version.python"] == platform.python_version()
    assert facts["version.numpy"] == numpy.__version__
    assert int(facts["system.cores"]) >= 1
    everything = " ".join(facts.values())
    assert str(repository) not in everything
    assert socket.gethostname() not in everything.split()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_told_with_whether_files_differ_from_it(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        answer = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments], capture_output=True, text=True, check=True
        )
        return answer.stdout.strip()

    ours, stranger = tmp_path / "src" / "package", tmp_path / "venv" / "package"
    for folder in (ours, stranger):
        folder.mkdir(parents=True)
        (folder / "a.py").write_text("1")
    assert git_facts(ours) == {}
    git("init", "-q")
    git("add", "src")
    git("commit", "-q", "-m", "first")
    assert git_facts(ours) == {"mlflow.source.git.commit": git("rev-parse", "HEAD"), "git.changed": "false"}
    (ours / "a.py").write_text("2")
    assert git_facts(ours)["git.changed"] == "true"
    assert git_facts(stranger) == {}  # installed inside a checkout that is not its own


def test_usage_grows_with_what_is_used() -> None:
    before = usage()
    work = numpy.ones(40_000_000)
    work.sort()
    after = usage()
    assert after["system/cpu_s"] > before["system/cpu_s"]
    assert after["system/peak_memory_gib"] >= max(before["system/peak_memory_gib"], work.nbytes / 2**30)
