from __future__ import annotations

from dataclasses import astuple

import pytest

from dubflow.errors import BadInput
from dubflow.speech.articulation import Viseme, articulation
from dubflow.speech.inventory import CONSONANTS, PHONES, SYMBOLS, UNKNOWN, VOWELS


def test_every_symbol_has_a_mouth() -> None:
    for symbol in SYMBOLS[1:]:
        described = articulation(symbol)
        assert described.shapes
        assert 0 < described.dominance <= 1
        for shape in described.shapes:
            openness, width, *others = astuple(shape)
            assert 0 <= openness <= 1
            assert -1 <= width <= 1
            assert all(0 <= value <= 1 for value in others)


def test_every_viseme_is_used() -> None:
    assert {articulation(symbol).viseme for symbol in PHONES | {""}} == set(Viseme)


def test_padding_and_strangers_have_none() -> None:
    for symbol in ("<pad>", "ʘ", "aa"):
        with pytest.raises(BadInput) as caught:
            articulation(symbol)
        assert caught.value.code == "speech.unknown_phone"
    assert articulation(UNKNOWN).viseme is Viseme.CENTRAL


def test_lips_close_exactly_for_bilabials() -> None:
    closed = {s for s in PHONES if articulation(s).is_bilabial}
    assert closed == {"p", "b", "m", "pʲ", "bʲ", "mʲ", "m̩", "β", "pf"}
    assert all(articulation(s).shape.openness < 0.05 for s in closed)
    assert all(articulation(s).dominance >= 0.9 for s in closed)
    assert {s for s in PHONES if articulation(s).is_labiodental} == {"f", "v", "ʋ", "fʲ", "vʲ", "ʋʲ"}


def test_vowels_follow_height_and_rounding() -> None:
    def opening(symbol: str) -> float:
        return articulation(symbol).shape.openness

    assert opening("a") > opening("ɛ") > opening("e") > opening("ɪ") > opening("i")
    assert opening("ɑ") > opening("ɔ") > opening("o") > opening("u")
    rounded = {s for s in VOWELS if articulation(s).shape.rounding >= 0.4}
    assert {"u", "uː", "o", "oː", "ɔ", "y", "yː", "ø", "øː", "œ", "œ̃", "ɔ̃", "ʊ", "ɔɪ", "oʊ"} <= rounded
    assert not rounded & {"a", "ɑː", "e", "i", "iː", "ɛ", "æ", "ə", "ɨ", "ɛ̃", "aɪ", "aʊ"}


def test_length_nasality_and_palatalisation_do_not_change_the_lips() -> None:
    for plain, marked in (("i", "iː"), ("ɑ", "ɑ̃"), ("t", "tʲ"), ("n", "n̩")):
        assert articulation(plain).shapes == articulation(marked).shapes


def test_diphthongs_move() -> None:
    start, end = articulation("aʊ").shapes
    assert start.openness > end.openness
    assert end.rounding > start.rounding
    assert articulation("aʊ").is_rounded
    assert not articulation("aɪ").is_rounded
    assert len(articulation("aɪɚ").shapes) == 3
    assert [round(shape.press) for shape in articulation("pf").shapes] == [1, 0]


def test_voicing_and_kind() -> None:
    assert all(articulation(v).voiced and articulation(v).vowel for v in VOWELS)
    for voiceless, voiced in ("pb", "td", "kɡ", "fv", "sz", "ʃʒ", "θð"):
        assert not articulation(voiceless).voiced
        assert articulation(voiced).voiced
    assert not any(articulation(c).vowel for c in CONSONANTS)
    assert articulation("n̩").vowel
