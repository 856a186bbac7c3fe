from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.judging.phone_judge.facts import PHONE_SYMBOLS
from dubflow.judging.phone_judge.rates import phone_errors

PHONES = st.lists(st.sampled_from(PHONE_SYMBOLS), min_size=1, max_size=12)


def test_known_values() -> None:
    rate = phone_errors([["k", "æ", "t"], ["d", "ɑː", "ɡ", "z"]], [["k", "a", "t", "s"], ["d", "ɡ", "z"]])
    assert (rate.substitutions, rate.deletions, rate.insertions, rate.reference) == (1, 1, 1, 7)
    assert rate.utterances == pytest.approx((2 / 3, 1 / 4))


@settings(deadline=None, max_examples=40)
@given(PHONES, PHONES)
def test_laws(said: list[str], heard: list[str]) -> None:
    assert phone_errors([said], [said]).errors == 0
    assert phone_errors([said], [[]]).corpus == 1
    rate = phone_errors([said], [heard])
    assert rate.reference == len(said)
    assert abs(len(said) - len(heard)) <= rate.errors <= max(len(said), len(heard))
    assert rate.errors == phone_errors([heard], [said]).errors
