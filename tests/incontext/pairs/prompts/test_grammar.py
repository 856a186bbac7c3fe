"""Prompts that the grammar draws: all can be used, each once, the same for the same seed, translated exactly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.config import load_preset
from dubflow.errors import WrongUse
from dubflow.incontext.pairs.prompts.content import prompt_id
from dubflow.incontext.pairs.prompts.forms import render
from dubflow.incontext.pairs.prompts.grammar import draw_prompts
from dubflow.incontext.pairs.prompts.sets import gathered
from dubflow.incontext.pairs.prompts.settings import SECTION, GrammarSettings
from dubflow.incontext.pairs.prompts.structure import LANGUAGES
from dubflow.incontext.pairs.splitting import SplitSettings
from dubflow.talkers.scripts import FreeSentence

SHORT = load_preset("tiny", SECTION, GrammarSettings)
PAPER = load_preset("paper", SECTION, GrammarSettings)


@pytest.mark.parametrize("grammar", [SHORT, PAPER], ids=["tiny", "paper"])
def test_all_can_be_used_and_every_language_is_spoken(grammar: GrammarSettings) -> None:
    drawn = draw_prompts(grammar, 5, 200)
    usable, report = gathered(drawn)
    assert usable == drawn
    assert (report.given, report.kept, report.duplicates, report.refused) == (200, 200, 0, {})
    assert {prompt.clip_frames for prompt in drawn} == {grammar.frames}
    for place in (0, 1):
        assert {prompt.segments[place].language for prompt in drawn} == set(LANGUAGES)
    assert {prompt.speaker.kind for prompt in drawn} == set(grammar.kinds)
    for prompt in drawn:
        assert prompt.silence is not None
        assert prompt.silence[1] - prompt.silence[0] >= grammar.pause_s[0] - 0.05
        # Both halves can be said in the other language, which is what the engine asks for.
        for place in (0, 1):
            other = prompt.segments[1 - place].language
            prompt.saying(place, prompt.segments[place].translation or "", other)


def test_small_bases_read_all_of_it() -> None:
    assert max(len(render(prompt, "compact")) for prompt in draw_prompts(SHORT, 0, 300)) <= 256


@given(st.integers(0, 2**31), st.integers(1, 12))
@settings(deadline=None, max_examples=10)
def test_a_seed_is_one_list_however_much_of_it_is_drawn(seed: int, count: int) -> None:
    whole = draw_prompts(SHORT, seed, 12)
    assert draw_prompts(SHORT, seed, count) == whole[:count]
    assert len({prompt_id(prompt) for prompt in whole}) == 12


def test_other_seeds_are_other_lists() -> None:
    first, second = ({prompt_id(one) for one in draw_prompts(PAPER, seed, 50)} for seed in (0, 1))
    assert len(first & second) < 5


def test_translations_mean_the_same() -> None:
    sentences = {
        (language, sentence.script(language).text): sentence.code
        for sentence in FreeSentence.all()
        for language in ("en", "el")
    }
    grammar = PAPER.model_copy(update={"languages": ("en", "el")})
    for prompt in draw_prompts(grammar, 3, 40):
        for place in (0, 1):
            own, other = prompt.segments[place], prompt.segments[1 - place]
            assert sentences[own.language, own.text] == sentences[other.language, own.translation or ""]


def test_without_a_length_a_clip_has_room_for_two_whole_halves() -> None:
    """Wherever the language may change, both halves of 8k + 1 frames hold all that is said in them."""
    least = SplitSettings.model_validate({}).least_frames
    for prompt in draw_prompts(SHORT.model_copy(update={"frames": None}), 0, 100):
        assert prompt.switch_s is not None
        assert prompt.end is not None
        frames, cut = prompt.clip_frames or 0, round(prompt.switch_s * 25)
        first, second = ((room - 1) // 8 * 8 + 1 for room in (cut, frames - cut))
        assert min(first, second) >= least
        assert (cut - first) / 25 <= (prompt.segments[0].start or 0)
        assert (cut + second) / 25 >= prompt.end


def test_what_cannot_be_drawn() -> None:
    few = SHORT.model_copy(update={"languages": ("en", "fr"), "places": (1, 1), "kinds": ("man",), "voices": ("",)})
    # Two orders of languages, four words each: 32 different prompts.
    assert len(draw_prompts(few, 0, 32)) == 32
    with pytest.raises(WrongUse) as caught:
        draw_prompts(few, 0, 33)
    assert caught.value.code == "incontext.grammar_exhausted"
    with pytest.raises(WrongUse) as caught:
        draw_prompts(PAPER.model_copy(update={"frames": 65}), 0, 1)
    assert caught.value.code == "incontext.grammar_exhausted"
    for changes in ({"languages": ("en", "en")}, {"places": (3, 2)}, {"pause_s": (0.1, 1.0)}, {"frames": 90}):
        with pytest.raises(ValidationError):
            GrammarSettings.model_validate(SHORT.model_dump() | changes)
