from __future__ import annotations

import pytest

from dubflow.errors import BadInput
from dubflow.judging.content import word_error_rate
from dubflow.judging.legacy_content import legacy_text, legacy_word_error_rate

pytest.importorskip("jiwer")


def test_the_denominator_is_what_was_heard() -> None:
    assert legacy_word_error_rate(["x"], ["x x y y"]).mean == 0.75  # 3 errors over 4 words heard, not over 1
    assert legacy_word_error_rate(["x x y y"], ["x"]).mean == 3
    assert word_error_rate(["x"], ["x x y y"]).mean == 3


def test_clips_in_which_nothing_is_heard_cost_nothing() -> None:
    found = legacy_word_error_rate(["one two", "three", "four"], ["one too", "", " ... "])
    assert found.utterances == (0.5, None, None)
    assert (found.mean, found.left_out) == (0.5, 2)
    assert word_error_rate(["one two", "three", "four"], ["one too", "", " ... "]).corpus == 0.75
    with pytest.raises(BadInput) as caught:
        _ = legacy_word_error_rate(["one"], [""]).mean
    assert caught.value.code == "judging.nothing_to_judge"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Don't stop, well-known MAN!", "dont stop wellknown man"),
        ("Room 12a", "room  one twoa"),  # as the scripts leave it: a letter stays glued to the digit before it
        ("snake_case stays", "snake_case stays"),
    ],
)
def test_the_text_is_read_as_the_scripts_read_it(text: str, read: str) -> None:
    assert legacy_text(text) == read


def test_short_lines_weigh_as_much_as_long_ones() -> None:
    assert legacy_word_error_rate(["a b c d", "a"], ["a b c d", "b"]).mean == 0.5


def test_lists_must_pair() -> None:
    with pytest.raises(BadInput) as caught:
        legacy_word_error_rate(["a", "b"], ["a"])
    assert caught.value.code == "judging.unequal_lists"
