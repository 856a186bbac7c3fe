"""``dubflow probe`` tells exactly what is in a file."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubflow.cli import main as program
from dubflow.media.encode import write_clip


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    write_clip(path, np.zeros((30, 32, 48, 3), np.uint8), Fraction(30000, 1001), np.zeros(16016, np.float32))
    return path


def answer(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.argv", ["dubflow", *words])
    assert program._run() == 0
    return capsys.readouterr().out


def test_json_keeps_the_exact_rate(
    film: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(answer(["probe", "--json", str(film)], monkeypatch, capsys))
    video = content["streams"][content["default_video"]]["video"]
    assert (video["rate"], video["frames"], video["width"], video["height"]) == ("30000/1001", 30, 48, 32)
    assert content["streams"][content["default_audio"]]["audio"]["sample_rate"] == 16000


def test_the_table_shows_rate_count_and_shape(
    film: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = answer(["probe", str(film)], monkeypatch, capsys)
    for text in ("30000/1001 fps", "30 frames", "48x32", "16000 Hz", "read by default"):
        assert text in table
