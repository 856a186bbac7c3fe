"""The main job in the embedded world, small: it ends with everything on disk, and again in a moment."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import yaml

from dubflow.config import presets_folder
from dubflow.corpora.manifest import read_manifest
from dubflow.corpora.prepared import PreparedSet
from verbs import Answer


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """The embedded default with fewer and smaller clips."""
    content = yaml.safe_load((presets_folder() / "tiny.yaml").read_text("utf-8"))
    content["demo"] = {"identities": 2, "clips": 2, "languages": ["en", "el"], "seed": 3}
    content["talkers"] = {**content.get("talkers", {}), "size": 96, "mix": {"plain": 1.0}}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


def test_it_makes_everything_once(preset: Path, tmp_path: Path, answer: Answer) -> None:
    home = tmp_path / "demo"
    first = answer("demo", "--out", home, "--preset", preset, "--workers", "1")
    assert first["world"] == "embedded"
    assert (first["corpus"]["clips"], first["check"]["errors"], first["prepared"]["failed"]) == (4, 0, 0)
    clips = {row.id for row in read_manifest(home / "corpus")}
    assert set(PreparedSet(home / "prepared")) == clips
    picture = cv2.imread(str(home / "talkers.png"))
    assert picture is not None
    assert picture.shape[0] >= 2 * 160, "a row for each speaker"
    again = answer("demo", "--out", home, "--preset", preset, "--workers", "1")
    assert (again["corpus"]["rendered"], again["prepared"]["done"]) == (0, 0)
