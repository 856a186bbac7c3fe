"""The program as a shell sees it: quick help, exit codes, one JSON document, readable errors."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from dubflow import __version__
from dubflow.cli import main as program
from dubflow.errors import EXTRAS, OurFault

HEAVY = {"numpy", "av", "cv2", "torch", "mediapipe", "pydantic", "rich", "yaml", "pocketsphinx", "asyncio", "scipy"}


def dubflow(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dubflow", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


def verbs(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb of the command tree with the words that call it."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from verbs(inner, (*path, name))
    else:
        yield path, command


ALL_VERBS = dict(verbs(typer.main.get_command(program.app)))


def test_help_loads_almost_nothing() -> None:
    code = (
        "import sys\n"
        "from dubflow.cli.main import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "print(*sorted(sys.modules), sep='\\n', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stderr.split())
    assert "dubflow.cli.main" in loaded
    assert HEAVY & loaded == set()
    assert len(loaded) < 250, "a start this heavy is felt at every call"
    assert "Exit codes: 0 fine, 2 wrong use, 3 bad input, 4 our fault." in done.stdout


def test_the_verbs_of_the_plan_are_there() -> None:
    names = {" ".join(path) for path in ALL_VERBS}
    assert {"doctor", "demo", "probe", "talkers render", "corpus import", "corpus check", "prepare"} <= names


@pytest.mark.parametrize("path", ALL_VERBS, ids=" ".join)
def test_every_verb_answers_machines_and_explains_itself(path: tuple[str, ...]) -> None:
    verb = ALL_VERBS[path]
    options = {name for parameter in verb.params for name in parameter.opts}
    assert "--json" in options
    assert verb.help
    missing = [p.name for p in verb.params if not getattr(p, "help", None)]
    assert missing == [], "an option without a word of help"


def test_version() -> None:
    done = dubflow("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"dubflow {__version__}")


@pytest.mark.parametrize("words", [("probe",), ("nothing",), ("probe", "a", "--colour"), ("corpus",)])
def test_wrong_use_is_exit_code_2_and_tells_on_standard_error_only(words: tuple[str, ...]) -> None:
    done = dubflow(*words)
    assert done.returncode == 2
    assert "--help" in done.stdout + done.stderr


def test_bad_input_is_exit_code_3_with_code_headline_and_hint(tmp_path: Path) -> None:
    broken = tmp_path / "clip.mp4"
    broken.write_bytes(b"")
    done = dubflow("probe", str(broken))
    assert done.returncode == 3
    assert done.stdout == ""
    assert "Error:" in done.stderr
    assert "media.empty_file" in done.stderr


def test_with_json_an_error_is_the_one_document_on_standard_output(tmp_path: Path) -> None:
    done = dubflow("probe", "--json", str(tmp_path / "missing.mp4"))
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"], error["users_doing"]) == (3, "media.missing", True)
    assert error["hint"]


def test_wrong_use_with_json_is_a_document_too() -> None:
    done = dubflow("probe", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "cli.wrong_use"


@pytest.mark.parametrize("raised", [RuntimeError("disk on fire"), OurFault("media.crashed", "It fell over.")])
def test_our_fault_is_exit_code_4_without_a_wall_of_traceback(
    raised: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(path: Path) -> None:
        raise raised

    monkeypatch.setattr("dubflow.media.probe.probe", fail)
    monkeypatch.setattr(sys, "argv", ["dubflow", "probe", "a.mp4"])
    assert program._run() == 4
    printed = capsys.readouterr().err
    assert str(raised).split(" [")[0] in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("number", "exit_code", "code"),
    [(errno.EACCES, 2, "cli.path_refused"), (errno.ENOSPC, 4, "cli.disk_full"), (errno.EIO, 4, "cli.unexpected")],
)
def test_what_the_system_refuses_is_named(
    number: int, exit_code: int, code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(path: Path) -> None:
        raise OSError(number, os.strerror(number), "out/clip.mp4")

    monkeypatch.setattr("dubflow.media.probe.probe", refused)
    monkeypatch.setattr(sys, "argv", ["dubflow", "probe", "a.mp4"])
    assert program._run() == exit_code
    printed = capsys.readouterr().err
    assert code in printed
    assert "out/clip.mp4" in printed


def test_a_folder_that_is_a_file_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = dubflow("talkers", "render", "--out", str(tmp_path / "file" / "corpus"), "--identities", "1", "--clips", "1")
    assert done.returncode == 2
    assert "cli.path_refused" in done.stderr


def test_a_verb_whose_extra_is_not_installed_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(path: Path) -> None:
        raise ModuleNotFoundError("No module named 'cv2'", name="cv2")

    monkeypatch.setattr("dubflow.media.probe.probe", without)
    monkeypatch.setattr(sys, "argv", ["dubflow", "probe", "a.mp4"])
    assert program._run() == 2
    printed = capsys.readouterr().err
    assert "dubflow[faces]" in printed
    assert "install.missing_extra" in printed


def test_every_extra_that_an_error_names_exists(repository: Path) -> None:
    extras = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) <= set(extras)


def test_ctrl_c_is_exit_code_130_and_says_that_work_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dubflow.media.probe.probe", interrupted)
    monkeypatch.setattr(sys, "argv", ["dubflow", "probe", "a.mp4"])
    assert program._run() == 130
    assert "Stopped" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(shared_data: Path) -> None:
    clip = shared_data / "grid_lipnet" / "bbaf2n.mpg"
    script = f"{sys.executable} -m dubflow probe --json {clip} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
