"""Names in somebody's lists: paths that stay inside, ids, languages, files by stem."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.corpora.listing import MediaIndex, clip_id, inside, language_code, read_lines, walk
from dubflow.errors import BadInput


@pytest.mark.parametrize("named", ["../../etc/passwd", "/etc/passwd", "a/../../b", "..", ".", "a/..", "..\\..\\x"])
def test_paths_that_leave_the_root_are_refused(tmp_path: Path, named: str) -> None:
    with pytest.raises(BadInput, match=r"corpora\.path_escapes"):
        inside(tmp_path, named)


@pytest.mark.parametrize("named", ["", "   ", "a\0b", "q" * 5000])
def test_what_is_no_path_is_refused(tmp_path: Path, named: str) -> None:
    with pytest.raises(BadInput, match=r"corpora\.bad_path"):
        inside(tmp_path, named)


def test_paths_inside_become_relative(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/./b/../c.wav") == "a/c.wav"
    assert inside(tmp_path, f"{tmp_path}/a/c.wav") == "a/c.wav"
    assert inside(tmp_path, "a\\c.wav") == "a/c.wav"


@settings(deadline=None, max_examples=200)
@given(named=st.text(alphabet="ab./\\", min_size=1, max_size=20))
def test_whatever_is_accepted_lies_below_the_root(named: str) -> None:
    root = Path("/corpus")
    try:
        relative = inside(root, named)
    except BadInput:
        return
    parts = Path(relative).parts
    assert parts
    assert ".." not in parts
    assert not Path(relative).is_absolute()


@settings(deadline=None, max_examples=200)
@given(text=st.text(max_size=30))
def test_clip_ids_are_always_valid(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.\-]*(/[A-Za-z0-9][A-Za-z0-9_.\-]*)*", clip_id(text))


def test_clip_ids_keep_what_they_can() -> None:
    assert clip_id("FrozenII@Anna_00_1305_00") == "FrozenII-Anna_00_1305_00"
    assert clip_id("s1/bbaf2n") == "s1/bbaf2n"


def test_names_in_other_alphabets_stay_apart() -> None:
    names = ["видео один", "видео два", "видео 1/а", "видео 1/б", "γεια", "café", "cafè"]
    assert len({clip_id(name) for name in names}) == len(names)
    assert clip_id("café").startswith("caf-")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_where_the_file_ends_them(tmp_path: Path, end: str) -> None:
    lines = ["one\u2028and\x85more", "", " two "]
    (tmp_path / "list").write_bytes(("\ufeff" + end.join(lines)).encode())
    assert read_lines(tmp_path / "list") == [(1, lines[0]), (3, "two")]


@pytest.mark.parametrize(
    ("name", "code"), [("English", "en"), ("en-US", "en"), ("EL", "el"), ("Klingon", None), (None, None), ("", None)]
)
def test_languages_by_name_and_tag(name: str | None, code: str | None) -> None:
    assert language_code(name) == code


def test_media_index_prefers_video_and_refuses_to_guess(tmp_path: Path) -> None:
    for name in ("a/x.wav", "a/x.mp4", "b/y.wav", "c/y.wav", ".hidden/z.wav", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    index = MediaIndex(tmp_path)
    assert index.one("x") == "a/x.mp4"
    assert index.one("y", within="c") == "c/y.wav"
    assert index.one("z") is None
    with pytest.raises(BadInput, match=r"corpora\.ambiguous_name"):
        index.one("y")


def test_walking_follows_linked_folders_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f.wav").touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert [path.name for path in walk(tmp_path)] == ["f.wav"]
