from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dubflow.errors import BadInput
from dubflow.speech.arpabet import ARPABET, ARPABET_VOWELS, from_arpabet, pronunciation, to_arpabet
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.inventory import PHONES
from dubflow.speech.phonemes import EspeakPhonemizer
from dubflow.speech.words import edit_distance


def dictionary() -> dict[str, list[str]]:
    pocketsphinx = pytest.importorskip("pocketsphinx")
    path = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
    entries = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {word: phones for word, *phones in entries}


def test_it_is_the_aligners_alphabet() -> None:
    assert len(ARPABET) == 39
    assert set(Counter(p for phones in dictionary().values() for p in phones)) == ARPABET


@pytest.mark.parametrize("phone", sorted(ARPABET))
def test_there_and_back(phone: str) -> None:
    symbol, stress = from_arpabet(phone)
    assert symbol in PHONES
    assert stress == 0
    assert to_arpabet(symbol) == (phone,)
    if phone in ARPABET_VOWELS:
        for digit in (0, 1, 2):
            assert from_arpabet(f"{phone}{digit}")[1] == digit
            assert to_arpabet(*from_arpabet(f"{phone}{digit}")) == (f"{phone}{digit}",)


@pytest.mark.parametrize("phone", ["", "Q", "AH3", "K1", "ah0", "AH01", "1"])
def test_strangers_are_refused(phone: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_arpabet(phone)
    assert caught.value.code == "speech.unknown_phone"


def test_every_symbol_has_an_english_rendering() -> None:
    for symbol in PHONES:
        rendered = to_arpabet(symbol, 1)
        assert rendered
        assert {p.rstrip("012") for p in rendered} <= ARPABET
    with pytest.raises(BadInput):
        to_arpabet("ʘ")


def test_stress_lies_on_the_first_vowel() -> None:
    assert to_arpabet("aɪɚ", 1) == ("AY1", "ER0")
    assert to_arpabet("ɔːɹ", 2) == ("AO2", "R")
    assert to_arpabet("t", 1) == ("T",)


def test_our_pronunciations_resemble_the_dictionary(synthesizer: EspeakSynthesizer) -> None:
    known = dictionary()
    words = [w for w in sorted(known) if w.isalpha() and 4 <= len(w) <= 10][::900]
    assert len(words) > 90
    spoken = EspeakPhonemizer(synthesizer).phonemize_all(words, "en")
    errors = sum(
        edit_distance(pronunciation(p.symbol for p in phones), known[word])
        for word, phones in zip(words, spoken, strict=True)
    )
    # Two dictionaries of American English differ in about a fifth of the phones of rare words and names.
    assert errors / sum(len(known[word]) for word in words) < 0.28


def test_common_words(synthesizer: EspeakSynthesizer) -> None:
    say = EspeakPhonemizer(synthesizer)
    for word, expected in {"cat": "K AE T", "judge": "JH AH JH", "think": "TH IH NG K", "fire": "F AY ER"}.items():
        assert " ".join(pronunciation(p.symbol for p in say.phonemize(word, "en"))) == expected
