"""SRT and WebVTT, exact to the millisecond, in whatever encoding people have them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubflow.media.subtitles import Cue, read_subtitle_file, read_subtitles, write_subtitles

words = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="<>"), min_size=1, max_size=12
).filter(lambda word: "-->" not in word and not word.isdigit())
lines = st.lists(words, min_size=1, max_size=3).map(" ".join)


@st.composite
def cue_lists(draw) -> list[Cue]:
    """Cues in the order of their starts, with arbitrary text."""
    cues, clock = [], 0
    for _ in range(draw(st.integers(1, 8))):
        clock += draw(st.integers(0, 3_600_000))
        length = draw(st.integers(1, 100_000))
        cues.append(
            Cue(clock / 1000, (clock + length) / 1000, "\n".join(draw(st.lists(lines, min_size=1, max_size=3))))
        )
        clock += length
    return cues


@pytest.mark.parametrize("ending", ["srt", "vtt"])
@given(cues=cue_lists())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_is_exact(tmp_path, ending, cues):
    path = tmp_path / f"x.{ending}"
    write_subtitles(path, cues)
    assert read_subtitles(path) == cues
    assert read_subtitle_file(path).notices == ()


def test_markup_like_text_survives_in_vtt(tmp_path):
    cues = [Cue(0.001, 1.999, "a <i>b</i> & c < d {e} \\N f\n&amp; g")]
    write_subtitles(tmp_path / "x.vtt", cues)
    assert read_subtitles(tmp_path / "x.vtt") == cues


def test_srt_as_found_in_the_wild(tmp_path):
    path = tmp_path / "wild.srt"
    path.write_bytes(
        b"1\r\n00:00:01,000 --> 00:00:02,500\r\n{\\an8}<i>Bonjour</i> <b>\xc3\xa0</b> 3 < 4\r\n\r\n"
        b"00:00:07.000 --> 00:00:08.000 X1:10 Y1:20\r\nno number, dots\r\nsecond line\r\n\r\n"
        b"3\r\n00:00:05,000 --> 00:00:06,000\r\nout of order\r\n\r\n4\r\n00:00:09,000 --> 00:00:09,500\r\n\r\n"
    )
    found = read_subtitle_file(path)
    assert found.cues == (
        Cue(1.0, 2.5, "Bonjour à 3 < 4"),
        Cue(5.0, 6.0, "out of order"),
        Cue(7.0, 8.0, "no number, dots\nsecond line"),
    )
    assert (found.format, found.encoding) == ("srt", "utf-8")


def test_vtt_as_found_in_the_wild(tmp_path):
    path = tmp_path / "named.srt"  # by content it is WebVTT
    path.write_text(
        "WEBVTT - some title\n\nNOTE a comment\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n00:01.000 --> 00:02.500 align:start\n"
        "<v Bob>Hi &amp; <c.red>bye</c>\n\n01:00:00.000 --> 01:00:01.000\nsecond\nline\n"
    )
    found = read_subtitle_file(path)
    assert found.format == "vtt"
    assert found.cues == (Cue(1.0, 2.5, "Hi & bye"), Cue(3600.0, 3601.0, "second\nline"))


@pytest.mark.parametrize(
    ("encoding", "named", "notices"),
    [("utf-8", "utf-8", 0), ("utf-8-sig", "utf-8", 0), ("utf-16", "utf-16", 0), ("latin-1", "latin-1", 1)],
)
def test_encodings(tmp_path, encoding, named, notices):
    path = tmp_path / "x.srt"
    path.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nÜber Größe é\n".encode(encoding))
    found = read_subtitle_file(path)
    assert found.cues == (Cue(1.0, 2.0, "Über Größe é"),)
    assert found.encoding == named
    assert len(found.notices) == notices


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "media.empty_file"),
        (b"Dear diary\n", "media.not_subtitles"),
        (b"\x00\x00\x00\x18ftypmp42", "media.not_subtitles"),
        (b"1\n00:00:xx --> yy\nhello\n", "media.not_subtitles"),
        (b"\xff\xfeodd", "media.not_subtitles"),
        (b"1\n00:00:02,000 --> 00:00:01,000\nbackwards\n", "media.bad_cue"),
        (b"1\n00:00:02,000 --> 00:00:02,000\nno time\n", "media.bad_cue"),
    ],
)
def test_bad_files(tmp_path, code_of, content, code):
    path = tmp_path / "x.srt"
    path.write_bytes(content)
    assert code_of(lambda: read_subtitles(path)) == code


def test_a_line_that_does_not_read_is_reported(tmp_path):
    path = tmp_path / "x.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nfine\n\n2\n00:00:03 -> oops --> 4\nlost\n")
    found = read_subtitle_file(path)
    assert [cue.start for cue in found.cues] == [1.0]
    assert found.notices == ("it has 2 time lines, of which 1 were readable",)


@pytest.mark.parametrize(
    "cue",
    [
        Cue(-0.001, 1, "x"),
        Cue(1, 1, "x"),
        Cue(float("nan"), 1, "x"),
        Cue(0, float("inf"), "x"),
        Cue(1, 1.0004, "x"),
        Cue(0, 400000, "x"),
        Cue(0, 1, " "),
        Cue(0, 1, "a\n\nb"),
        Cue(0, 1, "a --> b"),
    ],
)
def test_cues_that_no_file_can_hold(tmp_path, code_of, cue):
    assert code_of(lambda: write_subtitles(tmp_path / "x.srt", [cue])) == "media.unwritable_cue"
    assert list(tmp_path.iterdir()) == []


def test_only_srt_and_vtt_are_written(tmp_path, code_of):
    assert code_of(lambda: write_subtitles(tmp_path / "x.ass", [])) == "media.unknown_output"
