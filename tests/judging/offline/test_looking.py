"""Clips that are looked at once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.offline import looking
from dubflow.judging.offline.looking import KEPT, Nobody, look, look_at_both
from dubflow.media.encode import write_clip


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the clips that were really looked at."""
    names: list[str] = []
    really = looking._look

    def counted(path: Path) -> looking.Seen | None:
        names.append(path.name)
        return really(path)

    monkeypatch.setattr(looking, "_look", counted)
    looking._look_at.cache_clear()
    return names


def blank(path: Path, grey: int = 90) -> Path:
    write_clip(path, [np.full((48, 64, 3), grey, np.uint8)] * 3, 25)
    return path


def test_a_clip_is_looked_at_once_until_it_changes(tmp_path: Path, looked: list[str]) -> None:
    one = blank(tmp_path / "one.mp4")
    assert [look(one), look(str(one)), look(one)] == [None] * 3
    assert looked == ["one.mp4"]
    blank(one, grey=120)
    os.utime(one, ns=(1, 1))
    look(one)
    assert looked == ["one.mp4"] * 2


def test_a_dub_and_its_source_are_kept_and_no_more(tmp_path: Path, looked: list[str]) -> None:
    source, *dubs = (blank(tmp_path / f"{name}.mp4") for name in ("source", "a", "b"))
    for dub in dubs:
        for _judge in range(3):
            look(source)
            look(dub)
    assert looked == ["source.mp4", "a.mp4", "b.mp4"]
    assert looking._look_at.cache_info().currsize == KEPT


def test_nobody_is_whose_doing_it_is(tmp_path: Path, looked: list[str]) -> None:
    one = blank(tmp_path / "one.mp4")
    assert look_at_both(one, None) == Nobody("No face was found.", in_source=False)
    assert look_at_both(one, one) == Nobody("No face was found.", in_source=True)
    (tmp_path / "odd.mp4").write_bytes(b"no clip")
    found = look_at_both(tmp_path / "odd.mp4", None)
    assert isinstance(found, Nobody)
    assert not found.in_source
    for lost in (tmp_path / "lost.mp4", tmp_path / "odd.mp4"):
        with pytest.raises(BadInput):
            look_at_both(one, lost)
