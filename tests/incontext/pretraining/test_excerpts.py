"""Excerpts: the same words in sound and prompt, silence around them, one length."""

from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.incontext.pretraining.excerpts import excerpts
from dubflow.incontext.pretraining.guide import NOTHING, SaidWord, letters_of
from dubflow.incontext.pretraining.latents import ClipLatent
from dubflow.incontext.pretraining.material import MaterialClip

PROMPT = 'a man. en: "set red at b two now"'
SPOKEN = ("set", "red", "at", "b", "two", "now")


def clip(tokens: int = 60) -> ClipLatent:
    """Each word takes 0.2 s from 0.4 s on; an audio token is its number, silence is 2."""
    words, place = [], PROMPT.index('"')
    for number, word in enumerate(SPOKEN):
        first = PROMPT.index(word, place)
        place = first + len(word)
        words.append(SaidWord(0.4 + 0.2 * number, 0.6 + 0.2 * number, first, place))
    audio = torch.full((tokens, 1), 2.0)
    audio[10:41, 0] = torch.arange(10.0, 41.0)
    return ClipLatent(MaterialClip("voices/s1/a", "voices", Path("a.wav"), PROMPT, False, tuple(words)), None, audio)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**30), st.integers(1, 8))
def test_sound_and_prompt_hold_the_same_words(seed: int, most: int) -> None:
    sources = [torch.Generator().manual_seed(seed + place) for place in range(3)]
    found = excerpts([clip()] * 3, most, sources)
    assert len({len(one.audio) for one in found}) == 1
    for one in found:
        asked = one.prompt.split('"')[1].split()
        assert one.prompt.startswith('a man. en: "')
        assert 1 <= len(asked) <= most
        start = SPOKEN.index(asked[0])
        assert tuple(asked) == SPOKEN[start : start + len(asked)]
        assert [one.prompt[word.first : word.last] for word in one.words] == asked
        letters = letters_of(one.words, len(one.audio))
        for token, value in enumerate(one.audio[:, 0].tolist()):
            first, last = letters[token].tolist()
            if first == NOTHING:
                continue
            # Each word has five tokens of its own in the clip: the token under a letter belongs to the letter's word.
            (word,) = [place for place, each in enumerate(one.words) if each.first <= first and last <= each.last]
            assert abs(value - (10 + 5 * (start + word) + 2)) <= 3.5
        assert one.audio[0].item() == one.audio[-1].item() == 2.0


def test_equal_generators_equal_excerpts() -> None:
    one, other = (excerpts([clip()], 3, [torch.Generator().manual_seed(7)])[0] for _ in range(2))
    assert one.prompt == other.prompt
    assert torch.equal(one.audio, other.audio)
