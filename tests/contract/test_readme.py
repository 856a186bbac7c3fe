"""What the README tells a newcomer to type works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_command_of_the_readme_runs(repository: Path, tmp_path: Path) -> None:
    commands = re.findall(r"^\$ \.venv/bin/(dubflow .*)$", (repository / "README.md").read_text("utf-8"), re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        line = f"{sys.executable} -m {command}"
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert (tmp_path / "prepared" / "index.json").is_file()


def test_every_page_that_a_page_names_exists(repository: Path) -> None:
    for page in [repository / "README.md", *sorted((repository / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} names {target}"
