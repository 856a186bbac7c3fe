"""GRID's grammar in seven languages, and free sentences that are translations of each other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, WrongUse
from dubflow.speech.espeak import default_synthesizer
from dubflow.speech.phonemes import phonemize
from dubflow.speech.voices import LANGUAGES, Voice
from dubflow.talkers.phrasebook import SLOTS, common_words, phrasebook
from dubflow.talkers.scripts import FreeSentence, GridCommand, WordSalad, words_of

commands = st.builds(
    GridCommand,
    command=st.integers(0, 3),
    colour=st.integers(0, 3),
    preposition=st.integers(0, 3),
    letter=st.integers(0, 24),
    digit=st.integers(0, 9),
    adverb=st.integers(0, 3),
)


def test_grid_codes_of_the_real_corpus() -> None:
    known = {
        "bbaf2n": "bin blue at f two now",
        "swwp2s": "set white with p two soon",
        "bragzp": "bin red at g zero please",
        "lgaf7a": "lay green at f seven again",
        "pbaczn": "place blue at c zero now",
        "lrih1s": "lay red in h one soon",
    }
    for code, sentence in known.items():
        assert GridCommand.from_code(code).script("en").text == sentence


def test_real_file_names_are_codes_of_their_transcripts(shared_data) -> None:
    checked = 0
    for align in sorted((shared_data / "grid_s1_aligned").glob("*.align")):
        words = [line.split()[2] for line in align.read_text().splitlines()]
        text = " ".join(word for word in words if word not in ("sil", "sp"))
        assert GridCommand.from_text(text, "en").code == align.stem
        checked += 1
    assert checked >= 10


@given(commands, st.sampled_from(LANGUAGES))
@settings(deadline=None, max_examples=200, derandomize=True)
def test_code_and_sentence_round_trip(command: GridCommand, language: str) -> None:
    script = command.script(language)
    assert GridCommand.from_code(script.code) == command
    assert GridCommand.from_text(script.text, language) == command
    assert len(script.text.split()) == len(script.spoken.split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_place_has_distinct_entries(language: str) -> None:
    grid = phrasebook(language).grid
    for slot in SLOTS:
        entries = getattr(grid, slot)
        assert len(set(entries)) == len(entries)
    assert len(grid.letter) == 25  # GRID has no w


def test_the_english_letter_a_is_not_an_article() -> None:
    script = GridCommand.from_code("bbaa2n").script("en")
    assert script.text == "bin blue at a two now"
    assert script.spoken == "bin blue at eigh two now"


@pytest.mark.parametrize("language", LANGUAGES)
def test_free_sentences_are_many_distinct_and_whole(language: str) -> None:
    sentences = FreeSentence.all()
    texts = {sentence.script(language).text for sentence in sentences}
    assert len(texts) == len(sentences) >= 3000
    assert len({sentence.code for sentence in sentences}) == len(sentences)
    for text in texts:
        assert "  " not in text
        assert "{" not in text
        assert text[0] == "¿" or text[0].isupper()
        assert text[-1] in ".?;"
        assert 3 <= len(words_of(text)) <= 18


def test_german_verbs_stand_second_in_statements_and_last_after_dass() -> None:
    statement = FreeSentence(family="statement", opening=0, subject=1, deed=0, time=0)
    report = FreeSentence(family="report", opening=0, subject=1, deed=0, time=0)
    assert statement.script("de").text == "Der junge Arzt streicht heute die Küche."
    assert report.script("de").text == "Ich weiß, dass der junge Arzt die Küche streicht."


def test_greek_actions_agree_with_their_carrier() -> None:
    texts = [FreeSentence(family="action", opening=k, subject=0, deed=0, time=0).script("el").text for k in range(3)]
    assert texts == [
        "Θέλω να αγοράσω ένα παλτό σήμερα.",
        "Μπορείς να αγοράσεις ένα παλτό σήμερα;",
        "Πρέπει να αγοράσουμε ένα παλτό σήμερα.",
    ]


def test_drawing_is_decided_by_the_seed() -> None:
    for kind in (GridCommand, FreeSentence, WordSalad):
        drawn = [[kind.draw(np.random.default_rng(seed)).code for seed in range(40)] for _ in range(2)]
        assert drawn[0] == drawn[1]
        assert len(set(drawn[0])) > 30


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_common_word_is_spoken_as_a_word_of_its_own(language: str) -> None:
    listed = common_words(language)
    assert len(set(listed)) == len(listed) == len(common_words("en")) >= 300
    for start in range(0, len(listed) - 1, 8):
        salad = WordSalad(words=tuple(range(start, min(start + 8, len(listed)))), breath=2)
        script = salad.script(language)
        assert [word.lower() for word in script.words] == [word.lower() for word in listed[start : start + 8]]
        utterance = default_synthesizer().synthesize(script.spoken, Voice(language=language))
        assert utterance.unknown == []
        assert [word.label for word in utterance.words] == list(script.words)
        assert all(word.end > word.start for word in utterance.words)


def test_salads_are_told_from_sentences_and_translate_word_by_word() -> None:
    salads = [WordSalad.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert len({salad.code for salad in salads}) == 300
    for salad in salads:
        scripts = [salad.script(language) for language in LANGUAGES]
        assert {script.code for script in scripts} == {salad.code}
        assert {len(script.words) for script in scripts} == {len(salad.words)}
        assert all(script.is_salad and script.text.count(",") == bool(salad.breath) for script in scripts)
        assert 4 <= len(salad.words) <= 8
        assert salad.breath == 0 or 2 <= salad.breath <= len(salad.words) - 2
    others = [kind.draw(np.random.default_rng(seed)) for seed in range(300) for kind in (GridCommand, FreeSentence)]
    assert not any(other.script("en").is_salad for other in others)


@pytest.mark.parametrize("language", ["en", "el"])
def test_salads_hold_more_pairs_of_sounds_than_as_many_sentences(language: str) -> None:
    def pairs(kind: type[FreeSentence] | type[WordSalad]) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for seed in range(60):
            text = kind.draw(np.random.default_rng(seed)).script(language).spoken
            found |= set(pairwise(phone.symbol for phone in phonemize(text, language)))
        return found

    assert len(pairs(WordSalad)) > 1.25 * len(pairs(FreeSentence))


@pytest.mark.parametrize(
    "wrong", [{"words": (0,)}, {"words": (0, 9999)}, {"words": (-1, 2)}, {"words": (1, 2), "breath": 2}]
)
def test_salads_that_are_none_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        WordSalad.model_validate(wrong)


@pytest.mark.parametrize("code", ["", "bbaf2", "bbaf2nn", "bbaw2n", "xbaf2n", "bbaf0n"])
def test_bad_codes_are_refused(code: str) -> None:
    with pytest.raises(BadInput) as caught:
        GridCommand.from_code(code)
    assert caught.value.code == "talkers.bad_code"


@pytest.mark.parametrize("text", ["", "bin blue at f two", "bin blue at f two now now", "bin pink at f two now"])
def test_bad_commands_are_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        GridCommand.from_text(text, "en")
    assert caught.value.code == "talkers.bad_command"


def test_unknown_languages_and_sentences_are_refused() -> None:
    with pytest.raises(WrongUse) as caught:
        GridCommand.from_code("bbaf2n").script("nl")
    assert caught.value.code == "talkers.unknown_language"
    with pytest.raises(ValueError, match="statement counts up to"):
        FreeSentence(family="statement", opening=0, subject=12, deed=0, time=0)
