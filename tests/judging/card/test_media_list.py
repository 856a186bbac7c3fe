"""The list of a card's files: what was written is read, and clips that lie in the card's folder move with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubflow.errors import BadInput
from dubflow.judging.card.items import Benchmark, BenchmarkItem, ItemFile
from dubflow.judging.card.media_list import FORMAT, MEDIA, CardMedia, read_media, write_media


def benchmark() -> Benchmark:
    source, true = (ItemFile(path=f"media/{name}.mp4", sha256="0" * 64) for name in "st")
    whole = BenchmarkItem(id="a/1", source=source, reference=true, transcript="la <b>")
    return Benchmark(name="b", world="real", items=(whole, BenchmarkItem(id="a/2")))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    card, root, theirs = tmp_path / "card", tmp_path / "root", tmp_path / "theirs" / "2.wav"
    clips = {"a/1": card / "clips/a/1.mp4", "a/2": theirs}
    write_media(card, benchmark(), root, clips, heard={"a/2": "lo"})
    assert read_media(card) == {
        "a/1": CardMedia(root / "media/s.mp4", root / "media/t.mp4", card / "clips/a/1.mp4", "la <b>"),
        "a/2": CardMedia(clip=theirs, heard="lo"),
    }
    card.rename(tmp_path / "moved")
    moved = read_media(tmp_path / "moved")
    assert moved["a/1"].clip == tmp_path / "moved/clips/a/1.mp4"
    assert moved["a/2"].clip == theirs


def test_relative_folders_are_told_from_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_media(Path("card"), benchmark(), Path("root"), {"a/1": Path("card/clips/1.mp4")})
    monkeypatch.chdir("/")
    found = read_media(tmp_path / "card")["a/1"]
    assert (found.source, found.clip) == (tmp_path / "root/media/s.mp4", tmp_path / "card/clips/1.mp4")


def test_a_card_without_a_list_has_no_files(tmp_path: Path) -> None:
    assert read_media(tmp_path) == {}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "judging.bad_media_list"),
        ("[]", "judging.unknown_format"),
        (json.dumps({"format": "dubflow.media/2", "clips": {}}), "judging.unknown_format"),
        (json.dumps({"format": FORMAT, "clips": {"a": {"clip": 7}}}), "judging.bad_media_list"),
        (json.dumps({"format": FORMAT, "clips": {}, "more": 1}), "judging.bad_media_list"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: str, code: str) -> None:
    (tmp_path / MEDIA).write_text(content)
    with pytest.raises(BadInput) as refused:
        read_media(tmp_path)
    assert refused.value.code == code
