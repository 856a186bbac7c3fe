"""ARPAbet, the alphabet of English pronouncing dictionaries, to and from the phoneme inventory.

The 39 phones of the CMU dictionary; stress is the digit behind a vowel (0 none, 1 primary, 2 secondary). To the
inventory each phone has one symbol (two for AH and ER, by stress). From the inventory every symbol, of any of the seven
languages, has an English rendering of one or more phones, because names and foreign words stand in English sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from dubflow.errors import BadInput
from dubflow.speech.inventory import PHONES

_VOWELS = {
    "AA": "ɑː", "AE": "æ", "AH": "ʌ", "AO": "ɔː", "AW": "aʊ", "AY": "aɪ", "EH": "ɛ", "ER": "ɜː", "EY": "eɪ",
    "IH": "ɪ", "IY": "iː", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ", "UW": "uː",
}  # fmt: skip
_CONSONANTS = {
    "B": "b", "CH": "tʃ", "D": "d", "DH": "ð", "F": "f", "G": "ɡ", "HH": "h", "JH": "dʒ", "K": "k", "L": "l", "M": "m",
    "N": "n", "NG": "ŋ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j",
    "Z": "z", "ZH": "ʒ",
}  # fmt: skip
_UNSTRESSED = {"AH": "ə", "ER": "ɚ"}

ARPABET: frozenset[str] = frozenset(_VOWELS) | frozenset(_CONSONANTS)
ARPABET_VOWELS: frozenset[str] = frozenset(_VOWELS)

_OTHERS = {
    # vowels
    "a": "AA", "aː": "AA", "ɐ": "AH", "ɑ": "AA", "ɒ": "AA", "ɔ": "AO", "o": "OW", "oː": "AO", "ɵ": "OW", "ɜ": "ER",
    "ɛː": "EH", "e": "EY", "eː": "EY", "ᵻ": "IH", "ɪː": "IH", "i": "IY", "ɨ": "IH", "ʉ": "UW", "ʉː": "UW", "u": "UW",
    "y": "UW", "yː": "UW", "ʏ": "UH", "ø": "ER", "øː": "ER", "œ": "ER",
    "ɑ̃": "AA N", "ɛ̃": "AE N", "ɔ̃": "AO N", "œ̃": "AH N",
    "eʊ": "EH UW", "oɪ": "OY", "uɪ": "UW IY", "iʊ": "IY UW", "ɔø": "OY", "əʊ": "OW", "ɛɪ": "EY", "ʌʉ": "AW",
    "eə": "EH R", "iə": "IY AH", "iɐ": "IY AH", "ʊə": "UH AH", "ʊɐ": "UH AH", "aɪə": "AY AH", "aɪɚ": "AY ER",
    "aʊə": "AW AH", "aʊɚ": "AW ER", "ɑːɹ": "AA R", "ɔːɹ": "AO R", "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R",
    "ʌɹ": "ER", "ʉɹ": "UH R", "əɹ": "ER", "əl": "AH L",
    # syllabic consonants
    "l̩": "AH L", "m̩": "AH M", "n̩": "AH N", "ŋ̩": "AH NG", "r̩": "ER",
    # consonants
    "q": "K", "ʔ": "T", "c": "K", "ɟ": "G", "pf": "P F", "ts": "T S", "dz": "D Z", "tɕ": "CH", "dʑ": "JH", "ʂ": "SH",
    "ʐ": "ZH", "ɕ": "SH", "ʑ": "ZH", "ç": "HH", "ʝ": "Y", "x": "K", "ɣ": "G", "χ": "K", "ʁ": "R", "β": "V", "ɬ": "L",
    "ʍ": "W", "ɲ": "N Y", "ɳ": "N", "ɫ": "L", "ɭ": "L", "ʎ": "L Y", "r": "R", "ɾ": "T", "ɽ": "D", "ʀ": "R", "ʋ": "V",
}  # fmt: skip

_TO: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{symbol: (phone,) for table in (_VOWELS, _UNSTRESSED, _CONSONANTS) for phone, symbol in table.items()},
        **{symbol: tuple(phones.split()) for symbol, phones in _OTHERS.items()},
    }
)


def from_arpabet(phone: str) -> tuple[str, int]:
    """``(symbol, stress)`` of one ARPAbet phone, with or without its stress digit.

    A vowel without a digit counts as stressed for the choice of symbol, with stress 0: pronouncing dictionaries that
    drop the digits do not say which it is.

    Raises:
        BadInput: ``speech.unknown_phone``.
    """
    name, digit = (phone[:-1], phone[-1]) if phone[-1:] in ("0", "1", "2") else (phone, "")
    if name not in ARPABET or (digit and name not in ARPABET_VOWELS):
        raise BadInput("speech.unknown_phone", f"{phone!r} is not an ARPAbet phone.", "Write it as AH0, EY1 or K.")
    if digit == "0" and name in _UNSTRESSED:
        return _UNSTRESSED[name], 0
    return _VOWELS.get(name) or _CONSONANTS[name], int(digit or 0)


def to_arpabet(symbol: str, stress: int | None = None) -> tuple[str, ...]:
    """ARPAbet phones of one symbol of the inventory; with ``stress`` 0, 1 or 2 its first vowel carries that digit.

    Raises:
        BadInput: ``speech.unknown_phone``.
    """
    phones = _TO.get(symbol) or _TO.get(symbol.removesuffix("ʲ"))
    if phones is None:
        raise BadInput("speech.unknown_phone", f"{symbol!r} is not a phone of the inventory.")
    if stress is None:
        return phones
    digits = iter([stress])
    return tuple(f"{p}{next(digits, 0)}" if p in ARPABET_VOWELS else p for p in phones)


def pronunciation(symbols: Iterable[str]) -> list[str]:
    """ARPAbet phones, without digits, of a sequence of symbols; pauses and unknown ones are left out."""
    return [phone for symbol in symbols if symbol in PHONES for phone in to_arpabet(symbol)]
