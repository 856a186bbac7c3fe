"""A dub that replaces the sound alone has its source's frames, and costs no second look at the face."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.tracks import FaceTracks
from dubflow.judging.offline import looking
from dubflow.media.encode import replace_audio, write_clip


def test_the_same_frames_are_searched_for_a_face_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    really = MediaPipeLandmarker.landmarks

    def counted(self: MediaPipeLandmarker, frames: Iterable[Any]) -> FaceTracks:
        told = list(frames)
        searched.append(int(told[0][0, 0, 0]))
        return really(self, told)

    monkeypatch.setattr(MediaPipeLandmarker, "landmarks", counted)
    monkeypatch.setattr(looking, "_faces", type(looking._faces)())
    looking._look_at.cache_clear()
    frames = np.full((4, 48, 64, 3), 90, np.uint8)
    write_clip(tmp_path / "source.mp4", frames, 25, np.zeros(2560, np.float32))
    replace_audio(tmp_path / "source.mp4", np.full(2560, 0.1, np.float32), 16_000, tmp_path / "dub.mp4")
    write_clip(tmp_path / "other.mp4", frames + 60, 25)
    for _ in range(2):
        for name in ("source", "dub", "other"):
            looking.look(tmp_path / f"{name}.mp4")
    assert len(searched) == 2
    assert searched[0] == pytest.approx(90, abs=3)
    assert searched[1] == pytest.approx(150, abs=3)


def test_faces_of_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "KEPT_FACES", 2)
    monkeypatch.setattr(looking, "_faces", type(looking._faces)())
    for grey in (10, 20, 30):
        looking._main_face(np.full((1, 48, 64, 3), grey, np.uint8))
    assert len(looking._faces) == 2


def test_the_same_bytes_in_another_shape_are_another_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_faces", type(looking._faces)())
    for shape in ((1, 48, 64, 3), (1, 64, 48, 3)):
        looking._main_face(np.full(shape, 30, np.uint8))
    assert len(looking._faces) == 2
