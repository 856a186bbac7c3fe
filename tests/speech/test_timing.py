"""Phones from marks and samples, on made-up samples whose right answer is known."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.speech.timing import Mark, timed_phones

RATE = 1000  # a sample a millisecond


def audio(*parts: tuple[int, int]) -> np.ndarray:
    """Samples from (value, milliseconds)."""
    return np.concatenate([np.full(length, value, dtype=np.int16) for value, length in parts])


def spell(marks: list[Mark], samples: np.ndarray, **options: object) -> list[tuple[str, int, int]]:
    found = timed_phones(marks, samples, RATE, "en", **options)  # type: ignore[arg-type]
    return [(p.symbol, p.start, p.end) for p in found]


def test_silence_before_a_stop_within_a_word_is_its_closure() -> None:
    samples = audio((5, 100), (0, 120), (5, 50))
    assert spell([Mark(0, "ˈa", 0), Mark(220, "p", 0)], samples) == [("a", 0, 100), ("p", 100, 270)]


def test_a_pause_before_a_stop_keeps_a_closure_for_it() -> None:
    samples = audio((5, 100), (0, 300), (5, 50))
    marks = [Mark(0, "a", 0), Mark(400, "p", 5)]
    assert spell(marks, samples) == [("a", 0, 100), ("", 100, 320), ("p", 320, 450)]
    assert spell(marks, samples, slowness=2.0) == [("a", 0, 100), ("", 100, 240), ("p", 240, 450)]


def test_a_pause_before_a_vowel_is_all_silence() -> None:
    samples = audio((5, 100), (0, 300), (5, 50))
    assert spell([Mark(0, "a", 0), Mark(400, "i", 5)], samples) == [("a", 0, 100), ("", 100, 400), ("i", 400, 450)]


def test_short_gaps_between_words_belong_to_the_phone_after() -> None:
    samples = audio((5, 100), (0, 30), (5, 50))
    assert spell([Mark(0, "a", 0), Mark(130, "s", 5)], samples) == [("a", 0, 100), ("s", 100, 180)]


def test_leading_and_trailing_silence() -> None:
    samples = audio((0, 200), (5, 100), (0, 60))
    assert spell([Mark(200, "m", 0)], samples) == [("", 0, 200), ("m", 200, 300), ("", 300, 360)]


def test_nameless_marks_with_sound_prepare_the_next_phone() -> None:
    samples = audio((5, 300))
    marks = [Mark(0, "b", 0), Mark(100, "", 0), Mark(150, "r", 0), Mark(250, "", 0)]
    assert spell(marks, samples) == [("b", 0, 100), ("r", 100, 300)]


def test_nameless_marks_in_silence_are_pauses() -> None:
    samples = audio((5, 100), (0, 200), (5, 100))
    marks = [Mark(0, "a", 0), Mark(100, "", 0), Mark(150, "", 0), Mark(300, "s", 4)]
    assert spell(marks, samples) == [("a", 0, 100), ("", 100, 300), ("s", 300, 400)]


def test_a_lone_palatalisation_joins_its_consonant() -> None:
    samples = audio((5, 300))
    marks = [Mark(0, "n", 0), Mark(100, "ʲ", 0), Mark(150, "a", 0)]
    assert spell(marks, samples) == [("nʲ", 0, 150), ("a", 150, 300)]
    alone = [Mark(0, "a", 0), Mark(100, "ʲ", 0), Mark(150, "a", 0)]
    assert spell(alone, samples) == [("a", 0, 100), ("j", 100, 150), ("a", 150, 300)]


def test_sequences_are_shared_out_evenly() -> None:
    assert spell([Mark(0, "ˈja", 0)], audio((5, 100))) == [("j", 0, 50), ("a", 50, 100)]


def test_phones_without_time_share_their_neighbours() -> None:
    well = [Mark(0, "w", 0), Mark(100, "ˈɛ", 0), Mark(400, "l", 0), Mark(400, "", 5), Mark(500, "i", 6)]
    assert spell(well, audio((5, 400), (0, 100), (5, 100))) == [
        ("w", 0, 100), ("ɛ", 100, 300), ("l", 300, 400), ("", 400, 500), ("i", 500, 600),
    ]  # fmt: skip
    glide = [Mark(0, "m", 0), Mark(100, "w", 0), Mark(100, "a", 0)]
    assert spell(glide, audio((5, 400))) == [("m", 0, 100), ("w", 100, 200), ("a", 200, 400)]


def test_a_sequence_goes_on_from_the_phone_before() -> None:
    marks = [Mark(0, "m", 0), Mark(100, "j", 0), Mark(200, "ˈja", 0), Mark(300, "ja", 9)]
    found = timed_phones(marks, audio((5, 400)), RATE, "ru")
    assert [(p.symbol, p.stress) for p in found] == [("m", 0), ("j", 0), ("a", 1), ("j", 0), ("a", 0)]


def test_closures_are_read_from_the_samples_without_echo() -> None:
    wet, dry = audio((5, 270)), audio((5, 100), (0, 120), (5, 50))
    marks = [Mark(0, "a", 0), Mark(220, "p", 0)]
    assert spell(marks, wet) == [("a", 0, 220), ("p", 220, 270)]
    assert spell(marks, wet, closures_from=dry) == [("a", 0, 100), ("p", 100, 270)]


def test_no_phones_are_one_silence() -> None:
    assert spell([], audio((0, 100))) == [("", 0, 100)]
    assert spell([], audio((5, 100))) == [("", 0, 100)]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 400), st.sampled_from(["a", "p", "s", "", "ʲ", "n", "ˈja", "(en)"]), st.integers(0, 3)
        ),
        max_size=15,
    ),
    st.lists(st.tuples(st.sampled_from([0, 7]), st.integers(1, 120)), min_size=1, max_size=6),
)
@settings(deadline=None, max_examples=200)
def test_whatever_the_marks_the_phones_cover_the_samples(
    marks: list[tuple[int, str, int]], parts: list[tuple[int, int]]
) -> None:
    samples = audio(*parts)
    found = spell([Mark(*mark) for mark in marks], samples)
    assert found[0][1] == 0
    assert found[-1][2] == len(samples)
    assert all(a[2] == b[1] for a, b in itertools.pairwise(found))
    assert all(start <= end for _, start, end in found)
