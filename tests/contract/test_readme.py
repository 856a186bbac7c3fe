"""What the README tells a newcomer to type works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dubflow.media.probe import probe


@pytest.mark.slow
def test_every_command_of_the_readme_runs(repository: Path, tmp_path: Path) -> None:
    commands = re.findall(r"^\$ \.venv/bin/(dubflow .*)$", (repository / "README.md").read_text("utf-8"), re.MULTILINE)
    assert len(commands) >= 9
    for command in commands:
        line = f"{sys.executable} -m {command}"
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    clip, dubbed = (
        probe(path) for path in (sorted((tmp_path / "corpus" / "s1").glob("*.mp4"))[0], tmp_path / "dubbed.mp4")
    )
    assert clip.video is not None
    assert dubbed.video is not None
    assert (dubbed.video.packets, dubbed.video.duration) == (clip.video.packets, clip.video.duration)
    assert (tmp_path / "prepared" / "index.json").is_file()
    assert (tmp_path / "runs" / "dubber" / "model" / "model.json").is_file()


def test_the_readme_and_the_guide_name_only_verbs_and_options_that_exist(repository: Path) -> None:
    from typer.main import get_command

    from dubflow.cli.main import app

    root = get_command(app)
    guides = ("diflow", "incontext", "judging", "pipelines", "serving")
    for page in ("README.md", *(f"docs/{name}.md" for name in guides)):
        pattern = r"^\$ (?:\.venv/bin/|DUBFLOW_\w+=\S+ )?dubflow ([^#\n]*)"
        commands = re.findall(pattern, (repository / page).read_text("utf-8"), re.MULTILINE)
        assert commands
        for line in commands:
            verb, words = root, line.split()
            while hasattr(verb, "commands"):
                assert words[0] in verb.commands, line
                verb = verb.commands[words.pop(0)]
            known = {name for parameter in verb.params for name in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= known, line


def test_every_page_that_a_page_names_exists(repository: Path) -> None:
    for page in [repository / "README.md", *sorted((repository / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} names {target}"
