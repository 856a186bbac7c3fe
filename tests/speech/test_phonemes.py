from __future__ import annotations

from collections.abc import Callable

import pytest

from dubflow.errors import BadInput, WrongUse
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.inventory import VOWELS, decode, encode
from dubflow.speech.phonemes import LANGUAGES, EspeakPhonemizer, Phone, phone_sequence, phonemize
from dubflow.speech.voices import Voice


@pytest.fixture(scope="module")
def phonemizer(synthesizer: EspeakSynthesizer) -> EspeakPhonemizer:
    return EspeakPhonemizer(synthesizer)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_goes_through_the_inventory_and_back(
    phonemizer: EspeakPhonemizer, sentences: Callable[[str], list[str]], language: str
) -> None:
    texts = sentences(language)
    for text, phones in zip(texts, phonemizer.phonemize_all(texts, language), strict=True):
        symbols = [phone.symbol for phone in phones]
        assert decode(encode(symbols)) == symbols
        words = [phone.word_index for phone in phones]
        assert words == sorted(words)
        assert words[0] >= 0
        assert words[-1] < len(text.split())
        assert any(phone.stress == 1 for phone in phones)
        assert {phone.stress for phone in phones} <= {0, 1, 2}


def test_stress_lies_on_vowels(phonemizer: EspeakPhonemizer, sentences: Callable[[str], list[str]]) -> None:
    phones = [p for some in phonemizer.phonemize_all(sentences("en"), "en") for p in some]
    stressed = [p for p in phones if p.stress]
    assert sum(p.symbol in VOWELS for p in stressed) / len(stressed) > 0.98


@pytest.mark.parametrize(
    ("language", "word", "expected"),
    [
        ("en", "church", "tʃ ɜː tʃ"),
        ("en", "house", "h aʊ s"),
        ("es", "perro", "p e r o"),
        ("es", "niño", "n i ɲ o"),
        ("ru", "мышь", "m ɨ ʃ"),
        ("ru", "тётя", "tʲ ɵ tʲ ʌ"),
        ("ru", "семья", "sʲ i mʲ j a"),
        ("fr", "bonjour", "b ɔ̃ ʒ u ʁ"),
        ("de", "Zeit", "ts aɪ t"),
        ("it", "ciao", "tʃ a o"),
        ("el", "καλός", "k a l o s"),
    ],
)
def test_known_words(phonemizer: EspeakPhonemizer, language: str, word: str, expected: str) -> None:
    assert " ".join(phone.symbol for phone in phonemizer.phonemize(word, language)) == expected


def test_stress_tells_words_apart(phonemizer: EspeakPhonemizer) -> None:
    end, ended = (
        [p.stress for p in phonemizer.phonemize(text, "es") if p.symbol in VOWELS] for text in ("término", "terminó")
    )
    assert end == [1, 0, 0]
    assert ended[2] == 1


def test_synthesis_and_phonemes_agree(synthesizer: EspeakSynthesizer, phonemizer: EspeakPhonemizer) -> None:
    text = "Out of the blue, 12 boys fell off the wall."
    spoken = phone_sequence(synthesizer.synthesize(text, Voice()))
    assert phonemizer.phonemize(text, "en", pauses=True) == spoken
    assert phonemizer.phonemize(text, "en") == [phone for phone in spoken if phone.symbol]
    assert Phone("", 0, -1) in spoken


def test_answers_do_not_depend_on_order_or_memory(
    synthesizer: EspeakSynthesizer, sentences: Callable[[str], list[str]]
) -> None:
    texts = sentences("fr")[:6]
    one, other = EspeakPhonemizer(synthesizer), EspeakPhonemizer(synthesizer)
    forth = one.phonemize_all(texts, "fr")
    assert [other.phonemize(text, "fr") for text in reversed(texts)][::-1] == forth
    assert one.phonemize_all([*texts, *texts], "fr") == forth + forth


def test_answers_are_the_callers_own(phonemizer: EspeakPhonemizer) -> None:
    phonemizer.phonemize("hello", "en", pauses=True).clear()
    assert phonemizer.phonemize("hello", "en", pauses=True)


def test_no_texts_are_no_phones(phonemizer: EspeakPhonemizer) -> None:
    assert phonemizer.phonemize_all([], "en") == []


def test_bad_requests_are_refused(phonemizer: EspeakPhonemizer) -> None:
    with pytest.raises(WrongUse):
        phonemizer.phonemize_all([], "xx")
    with pytest.raises(BadInput):
        phonemizer.phonemize("  ", "en")


def test_the_shared_one_is_the_same(phonemizer: EspeakPhonemizer) -> None:
    assert phonemize("hello there", "en") == phonemizer.phonemize("hello there", "en")
