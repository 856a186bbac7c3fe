"""A small corpus of the embedded world, rendered once for all tests of the verbs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dubflow.cli import main as program
from verbs import SMALL, Answer


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "talkers"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["dubflow", "talkers", "render", "--out", str(out), *SMALL])
        assert program._run() == 0
    return out


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Runs a verb with --json in this process and gives its document; checks the exit code."""

    def run(*words: str | Path, exit_code: int = 0) -> dict[str, Any]:
        monkeypatch.setattr("sys.argv", ["dubflow", *map(str, words), "--json"])
        capsys.readouterr()
        assert program._run() == exit_code
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    return run
