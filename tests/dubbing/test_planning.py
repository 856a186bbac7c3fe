"""Segments lie within the clip, in order and apart, and hold what can be said in them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.dubbing.planning import frames_of, plan_segments, texts_of_subtitles
from dubflow.dubbing.request import DubOptions, DubRequest, SegmentText
from dubflow.errors import BadInput, WrongUse
from dubflow.media.subtitles import Cue, write_subtitles
from dubflow.media.timing import FrameSampler

PLAIN = DubOptions()


def cue(text: str, start: float, end: float) -> SegmentText:
    return SegmentText(text=text, start=start, end=end)


def plan(texts: list[SegmentText], seconds: float | Fraction = 4, options: DubOptions = PLAIN):
    return plan_segments(texts, "en", Fraction(seconds), options)


def test_a_text_without_times_has_the_whole_clip() -> None:
    (segment,) = plan([SegmentText(text="bin blue")], Fraction(301, 100)).segments
    assert (segment.first, segment.stop) == (0, 75)
    assert segment.phones == len([p for p in segment.phonemes if p != 1]) > 4
    assert segment.phonemes[0] == segment.phonemes[-1] == 1


def test_margins_widen_a_cue_but_not_into_its_neighbours() -> None:
    wide = plan([cue("one", 1.0, 1.4), cue("two", 1.5, 2.0), cue("three", 3.0, 3.6)]).segments
    assert [(one.first, one.stop) for one in wide] == [(20, 36), (36, 55), (70, 95)]
    narrow = plan([cue("one", 1.0, 1.4)], options=DubOptions(margin_s=0)).segments
    assert [(one.first, one.stop) for one in narrow] == [(25, 35)]


@settings(deadline=None, max_examples=40)
@given(
    cuts=st.lists(st.floats(0, 9.9), min_size=2, max_size=8, unique=True),
    margin=st.floats(0, 2),
    seconds=st.fractions(10, 12, max_denominator=30000),
)
def test_segments_are_ordered_apart_and_inside(cuts: list[float], margin: float, seconds: Fraction) -> None:
    edges = sorted(cuts)
    texts = [cue("a", start, end) for start, end in zip(edges[::2], edges[1::2], strict=False) if end - start > 0.2]
    if not texts:
        return
    segments = plan(texts, seconds, DubOptions(margin_s=margin)).segments
    assert len(segments) == len(texts)
    last = 0
    for segment, text in zip(segments, texts, strict=True):
        assert last <= segment.first < segment.stop <= frames_of(seconds)
        assert segment.start <= text.start + 0.021
        assert segment.end >= min(text.end, float(seconds)) - 0.021
        last = segment.stop


@settings(deadline=None)
@given(seconds=st.fractions(Fraction(1, 100), 400, max_denominator=30000))
def test_frames_are_counted_as_the_reader_counts_them(seconds: Fraction) -> None:
    sampler = FrameSampler(Fraction(1, seconds.denominator), Fraction(25))
    sampler.show(0)
    assert frames_of(seconds) == sampler.finish(seconds.numerator)


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ([cue("late", 4.5, 5.0)], "dubbing.cue_outside"),
        ([cue("one", 0.5, 1.5), cue("two", 1.2, 2.0)], "dubbing.cues_overlap"),
        ([SegmentText(text="...")], "dubbing.nothing_to_say"),
        ([SegmentText(text="")], "dubbing.nothing_to_say"),
        ([cue("nobody can say all of these words in so short a time", 0.0, 0.5)], "dubbing.text_too_long"),
    ],
)
def test_what_cannot_be_is_refused(texts: list[SegmentText], code: str) -> None:
    with pytest.raises(BadInput) as caught:
        plan(texts)
    assert caught.value.code == code
    assert caught.value.hint


def test_what_can_be_mended_is_told() -> None:
    made = plan([cue("♪ ♪", 0.1, 0.5), cue("the end of it all", 2.5, 5.0)])
    assert [one.text for one in made.segments] == ["the end of it all"]
    assert made.segments[0].stop == 100
    assert len(made.notices) == 2
    fast = plan([cue("she sells sea shells by the sea", 1.0, 1.8)], options=DubOptions(margin_s=0)).segments[0]
    assert PLAIN.fast_phones_s < fast.pace <= PLAIN.most_phones_s
    assert "fast" in fast.notices[0]
    assert not plan([cue("she sells", 1.0, 2.0)]).segments[0].notices


def test_other_languages_are_refused_by_name() -> None:
    with pytest.raises(WrongUse) as caught:
        plan_segments([SegmentText(text="hallo")], "xx", Fraction(2), PLAIN)
    assert caught.value.code == "speech.unknown_language"


@pytest.mark.parametrize("name", ["a.srt", "a.vtt"])
def test_subtitles_become_segments(tmp_path: Path, name: str) -> None:
    write_subtitles(tmp_path / name, [Cue(1.0, 2.0, "first\nline"), Cue(2.5, 3.0, "second")])
    texts, notices = texts_of_subtitles(tmp_path / name)
    assert texts == (cue("first line", 1.0, 2.0), cue("second", 2.5, 3.0))
    assert notices == ()


def test_a_file_of_empty_cues_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n\n", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        texts_of_subtitles(tmp_path / "a.vtt")
    assert caught.value.code == "dubbing.nothing_to_say"


def test_requests_are_strict_and_digests_hang_on_content() -> None:
    def request(**changes: object) -> DubRequest:
        content = {"clip": "a.mp4", "segments": [{"text": "hi"}], "language": "en", "reference": "v.wav", **changes}
        return DubRequest.model_validate(content)

    digest = request().digest("1" * 64, "2" * 64, "e")
    assert request(clip="b.mp4", reference="w.wav").digest("1" * 64, "2" * 64, "e") == digest
    others = [
        request(language="de").digest("1" * 64, "2" * 64, "e"),
        request(segments=[{"text": "ho"}]).digest("1" * 64, "2" * 64, "e"),
        request(options={"seed": 1}).digest("1" * 64, "2" * 64, "e"),
        request().digest("3" * 64, "2" * 64, "e"),
        request().digest("1" * 64, "3" * 64, "e"),
        request().digest("1" * 64, "2" * 64, "f"),
    ]
    assert len({digest, *others}) == 7
    for wrong in (
        {"segments": []},
        {"segments": [{"text": "a"}, {"text": "b"}]},
        {"segments": [{"text": "a", "start": 1.0}]},
        {"segments": [{"text": "a", "start": 2.0, "end": 1.0}]},
        {"options": {"steps": 0}},
        {"unknown": 1},
        {"format": "dubflow.dub-request/2"},
    ):
        with pytest.raises(ValidationError):
            request(**wrong)
