"""A small corpus of the embedded world, rendered once for all tests of the verbs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.cli import main as program
from verbs import SMALL, Answer, answering


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "talkers"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["dubflow", "talkers", "render", "--out", str(out), *SMALL])
        assert program._run() == 0
    return out


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    return answering(monkeypatch, capsys)
