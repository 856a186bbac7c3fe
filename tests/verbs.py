"""What the tests of the verbs share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dubflow.cli import main as program

Answer = Callable[..., dict[str, Any]]
"""Runs a verb with ``--json`` and gives its document; ``exit_code=`` says what to expect."""

SMALL = ("--identities", "2", "--clips", "2", "--languages", "en,de", "--seed", "5", "--size", "64", "--workers", "1")
"""A corpus that renders in a moment."""


def answering(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Runs a verb with --json in this process and gives its document; checks the exit code."""

    def run(*words: str | Path, exit_code: int = 0) -> dict[str, Any]:
        monkeypatch.setattr("sys.argv", ["dubflow", *map(str, words), "--json"])
        capsys.readouterr()
        code = program._run()
        said = capsys.readouterr().out
        assert code == exit_code, said
        document: dict[str, Any] = json.loads(said)
        return document

    return run
