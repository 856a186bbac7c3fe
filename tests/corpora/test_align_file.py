"""GRID .align files: real ones are read as they are, ours come back as written."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.corpora.align_file import read_align, spoken, write_align
from dubflow.errors import BadInput
from dubflow.speech.intervals import Interval


def test_real_file_has_known_times(shared_data: Path) -> None:
    intervals = read_align(shared_data / "grid_lipnet" / "bbaf2n.align")
    assert [one.label for one in intervals] == ["", "bin", "blue", "at", "f", "two", "now", ""]
    assert intervals[1].start == pytest.approx(23750 / 25000)
    assert intervals[-1].end == pytest.approx(2.98)


def test_crlf_line_ends_read_the_same(shared_data: Path) -> None:
    words = spoken(read_align(shared_data / "grid_lipnet" / "swwp2s.align"))
    assert " ".join(word.label for word in words) == "set white with p two soon"


def test_every_real_alignment_survives_writing_and_reading(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "metadata_grid" / "grid_s1_align.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".align")]
        assert len(names) == 994
        for name in names[::50]:
            original = tmp_path / Path(name).name
            original.write_bytes(archive.read(name))
            words = spoken(read_align(original))
            again = tmp_path / "again.align"
            write_align(again, words, 75)
            assert spoken(read_align(again)) == words


@settings(deadline=None, max_examples=50)
@given(gaps=st.lists(st.tuples(st.integers(0, 20000), st.integers(1, 20000)), max_size=12), tail=st.integers(0, 5))
def test_written_words_come_back_and_cover_the_clip(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[tuple[int, int]], tail: int
) -> None:
    path = tmp_path_factory.mktemp("align") / "a.align"
    words, now = [], 0
    for number, (gap, length) in enumerate(gaps):
        words.append(Interval(start=(now + gap) / 25000, end=(now + gap + length) / 25000, label=f"w{number}"))
        now += gap + length
    frames = -(-now // 1000) + tail + 1
    write_align(path, words, frames)
    read = read_align(path)
    assert spoken(read) == words
    assert read[0].start == 0
    assert read[-1].end == pytest.approx(frames / 25)
    assert all(left.end == right.start for left, right in itertools.pairwise(read))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "corpora.bad_align"),
        ("0 100 sil\n100 bin\n", "corpora.bad_align"),
        ("0 1e3 sil\n", "corpora.bad_align"),
        ("-5 100 sil\n", "corpora.bad_align"),
        ("0 100 sil\n90 200 bin\n", "corpora.align_out_of_order"),
        ("200 100 bin\n", "corpora.align_out_of_order"),
    ],
)
def test_broken_files_are_refused_by_code(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "x.align"
    path.write_text(content)
    with pytest.raises(BadInput) as caught:
        read_align(path)
    assert caught.value.code == code


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"corpora\.no_align"):
        read_align(tmp_path / "none.align")
    (tmp_path / "b.align").write_bytes(b"\xff\xfe\x00\x93")
    with pytest.raises(BadInput, match=r"corpora\.bad_align"):
        read_align(tmp_path / "b.align")


@pytest.mark.parametrize(
    ("words", "frames", "code"),
    [
        ([("two words", 0.0, 0.1)], 75, "corpora.bad_align"),
        ([("sil", 0.0, 0.1)], 75, "corpora.bad_align"),
        ([("a", 0.0, 0.5), ("b", 0.4, 0.6)], 75, "corpora.align_out_of_order"),
        ([("a", 0.0, 3.5)], 75, "corpora.align_out_of_order"),
    ],
)
def test_words_that_cannot_be_written_are_refused(
    tmp_path: Path, words: list[tuple[str, float, float]], frames: int, code: str
) -> None:
    with pytest.raises(BadInput) as caught:
        write_align(tmp_path / "x.align", [Interval(start=a, end=b, label=w) for w, a, b in words], frames)
    assert caught.value.code == code
    assert not (tmp_path / "x.align").exists()
