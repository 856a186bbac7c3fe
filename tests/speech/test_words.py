from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.speech.words import (
    bare_word,
    cleaned,
    divide,
    edit_distance,
    shared_runs,
    token_starts,
    tokens_of_positions,
)


@pytest.mark.parametrize("text", ["", "   ", "—", "...", "?!", "\u00a0"])
def test_nothing_to_say_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        cleaned(text)
    assert caught.value.code == "speech.empty_text"


@pytest.mark.parametrize(
    ("text", "code"), [("a\0b", "bad_text"), ("a\ud800", "bad_text"), ("ab " * 4000, "text_too_long")]
)
def test_what_is_no_text_is_refused(text: str, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        cleaned(text)
    assert caught.value.code == f"speech.{code}"


@pytest.mark.parametrize("text", ["a", "7", "&", "12 %", "$", "— é"])
def test_whatever_has_a_name_can_be_spoken(text: str) -> None:
    assert cleaned(text) == text


def test_spaces_and_accents_are_made_uniform() -> None:
    assert cleaned("  e\u0301te\u0301 \n\t va ") == "été va"


@pytest.mark.parametrize(
    ("token", "word"),
    [("«Hello,»", "Hello"), ("don't!", "don't"), ("—", "—"), ("$5.50,", "$5.50"), ("¿Qué?", "Qué"), ("…", "…")],
)
def test_words_lose_the_punctuation_around_them(token: str, word: str) -> None:
    assert bare_word(token) == word


def test_positions_find_their_tokens_and_never_go_back() -> None:
    starts = token_starts("in the 1999 box")
    assert starts == [0, 3, 7, 12]
    assert tokens_of_positions(starts, [0, 2, 3, 8, 7, 12, 14, 99, 3]) == [0, 0, 1, 2, 2, 3, 3, 3, 3]


def test_runs_of_tokens_without_sound_of_their_own() -> None:
    assert shared_runs([0, 0, 2, 3, 3], 5) == [(0, 2), (3, 5)]
    assert shared_runs([1, 2], 3) == [(0, 2)]
    assert shared_runs([0, 1, 2], 3) == []
    assert shared_runs([], 3) == []


@pytest.mark.parametrize(
    ("phones", "alone", "cuts"),
    [
        ("ʌv|ð|ə", ["ɑːv", "ðə"], [0, 2, 4]),
        ("abc", ["abc", ""], [0, 3, 3]),
        ("abc", ["", "abc"], [0, 0, 3]),
        ("abcd", ["xy", "zw"], [0, 2, 4]),
        ("", ["a", "b"], [0, 0, 0]),
    ],
)
def test_division_follows_the_lone_pronunciations(phones: str, alone: list[str], cuts: list[int]) -> None:
    got = divide(list(phones.replace("|", "")), [list(lone.replace("ː", "")) for lone in alone])
    assert got == cuts


@given(st.lists(st.text("abcd", min_size=1, max_size=5), min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_what_was_joined_is_divided_again(words: list[str]) -> None:
    cuts = divide(list("".join(words)), [list(word) for word in words])
    assert ["".join(words)[a:b] for a, b in itertools.pairwise(cuts)] == words


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.text("abc", max_size=8))
@settings(deadline=None, max_examples=100)
def test_edit_distance_is_a_metric(a: str, b: str, c: str) -> None:
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, b) == edit_distance(b, a)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_edit_distance_of_known_words() -> None:
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
