"""The guide of the sound's attention: which letters are said when, and its loss as a law."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.corpora.manifest import ClipRow
from dubflow.incontext.pretraining.guide import NOTHING, TOKEN_S, SaidWord, guide_loss, letters_of
from dubflow.incontext.pretraining.material import said_words
from dubflow.speech.intervals import Interval

WORDS = (SaidWord(0.2, 0.6, 12, 16), SaidWord(0.6, 1.0, 17, 20))


def test_letters_of_a_word_follow_one_another_and_silence_says_nothing() -> None:
    letters = letters_of(WORDS, 40)
    said = letters[:, 0] != NOTHING
    times = (torch.arange(40) - 0.25) * TOKEN_S
    assert torch.equal(said, (times >= 0.2) & (times < 1.0))
    assert bool((letters[~said] == NOTHING).all())
    first = letters[said, 0]
    assert bool((first.diff() >= 0).all())
    assert (int(letters[said, 0].min()), int(letters[said, 1].max())) == (12, 20)
    assert bool((letters[said, 1] > letters[said, 0]).all())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**20), st.integers(1, 4))
def test_it_is_never_negative_and_nought_where_all_attention_is_on_the_letters(seed: int, heads: int) -> None:
    source = torch.Generator().manual_seed(seed)
    queries = torch.randn(2, 40, 8 * heads, generator=source)
    keys = torch.randn(2, 24, 8 * heads, generator=source)
    letters = letters_of(WORDS, 40).expand(2, -1, -1)
    assert guide_loss(queries, keys, letters, heads) >= 0
    everything = letters.clone()
    everything[..., 0] = torch.where(letters[..., 0] == NOTHING, letters[..., 0], torch.zeros_like(letters[..., 0]))
    everything[..., 1] = torch.where(letters[..., 1] == NOTHING, letters[..., 1], torch.full_like(letters[..., 1], 24))
    assert guide_loss(queries, keys, everything, heads).item() == pytest.approx(0, abs=1e-5)


def test_attention_that_is_spread_evenly_costs_what_the_count_of_letters_says() -> None:
    letters = torch.tensor([[[3, 5], [NOTHING, NOTHING], [0, 4]]])
    loss = guide_loss(torch.zeros(1, 3, 4), torch.zeros(1, 8, 4), letters, heads=1)
    assert loss.item() == pytest.approx((math.log(8 / 2) + math.log(8 / 4)) / 2)


def test_where_nobody_speaks_there_is_no_loss() -> None:
    silent = torch.full((1, 3, 2), NOTHING)
    assert guide_loss(torch.randn(1, 3, 4), torch.randn(1, 8, 4), silent, heads=1).item() == 0


def test_words_are_found_in_the_prompt_in_their_order() -> None:
    row = ClipRow(
        id="s1/a", path="a.wav", sha256="0" * 64, transcript="set a at a", language="en", speaker="s1", licence=None,
        duration=2.0, words=tuple(
            Interval(start=0.3 * place, end=0.3 * place + 0.2, label=label)
            for place, label in enumerate(("set", "a", "at", "a"))
        ),
    )  # fmt: skip
    prompt = 'a man. en: "set a at a"'
    found = said_words(row, prompt)
    assert [prompt[word.first : word.last] for word in found] == ["set", "a", "at", "a"]
    assert [word.first for word in found] == [12, 16, 18, 21]
