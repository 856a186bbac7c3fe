"""One list of phonemes for the seven languages, with ids that never change.

Symbols are IPA as espeak-ng writes it for en, es, ru, fr, de, it and el, made uniform: diphthongs, affricates,
r-coloured and long vowels are one symbol, palatalisation stays with its consonant, espeak's own marks are removed,
stress is an attribute beside the symbol. A symbol means the same mouth in every language (``articulation``), so the
models share what they learn.

Ids are positions in the table below. New symbols go to its end; nothing is ever moved or removed
(``tests/speech/golden_inventory.txt`` holds the list that models were trained with).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.speech.intervals import SILENCE

INVENTORY_VERSION = "1"
PAD = "<pad>"
UNKNOWN = "<unk>"


def _table(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_VOWELS = _table(
    "a aː ɐ ɑ ɑː ɒ æ ʌ ɔ ɔː o oː ɵ ə ɚ ɜ ɜː ɛ ɛː e eː ᵻ ɪ ɪː i iː ɨ ʉ ʉː ʊ u uː y yː ʏ ø øː œ "
    "ɑ̃ ɛ̃ ɔ̃ œ̃ "
    "aɪ aʊ eɪ eʊ oɪ oʊ uɪ iʊ ɔɪ ɔø əʊ ɛɪ ʌʉ eə iə iɐ ʊə ʊɐ aɪə aɪɚ aʊə aʊɚ "
    "ɑːɹ ɔːɹ ɛɹ ɪɹ ʊɹ ʌɹ ʉɹ əɹ əl"
)
_SYLLABIC = _table("l̩ m̩ n̩ ŋ̩ r̩")
_CONSONANTS = _table(
    "p b t d k ɡ q ʔ c ɟ "
    "pf ts dz tʃ dʒ tɕ dʑ "
    "f v θ ð s z ʃ ʒ ʂ ʐ ɕ ʑ ç ʝ x ɣ χ ʁ h β ɬ ʍ "
    "m n ɲ ɳ ŋ l ɫ ɭ ʎ r ɾ ɽ ʀ ɹ ʋ j w"
)
_PALATALISED = _table("pʲ bʲ tʲ dʲ kʲ ɡʲ tsʲ tʃʲ dʒʲ fʲ vʲ sʲ zʲ ʃʲ ʒʲ xʲ mʲ nʲ lʲ ɭʲ rʲ ɾʲ ʋʲ")

# The lists above are closed: a later symbol goes to the end of this sum, so that no id moves.
SYMBOLS: tuple[str, ...] = (PAD, SILENCE, UNKNOWN, *_VOWELS, *_SYLLABIC, *_CONSONANTS, *_PALATALISED)
IDS: Mapping[str, int] = MappingProxyType({symbol: index for index, symbol in enumerate(SYMBOLS)})
PAD_ID, SILENCE_ID, UNKNOWN_ID = IDS[PAD], IDS[SILENCE], IDS[UNKNOWN]

VOWELS = frozenset(_VOWELS)
SYLLABIC_CONSONANTS = frozenset(_SYLLABIC)
CONSONANTS = frozenset((*_CONSONANTS, *_PALATALISED))
PHONES = VOWELS | SYLLABIC_CONSONANTS | CONSONANTS

# Phones that begin with a closure; their silence before the burst is part of them.
PLOSIVES = frozenset(s for s in CONSONANTS if s[0] in "pbtdkɡqʔcɟ")

_STRESS_MARKS = {"ˈ": 1, "ˌ": 2}
_LONGEST = max(len(symbol) for symbol in PHONES)

# What espeak-ng writes that is not IPA, or not that sound's IPA. The first is an upstream slip for the vowel of "hour",
# cut at eight bytes; u" and y are Russian vowels after soft and hard consonants.
_WHOLE: Mapping[str, str] = {"aɪʊ": "aʊɚ", 'u"': "ʉ", "a:": "aː", "r.": "ɽ", "ss": "s"}
_WHOLE_IN: Mapping[str, Mapping[str, str]] = {"ru": {"y": "ɨ"}}
_DROPPED = str.maketrans("", "", "-^.\"'_1ʰ͡‍̪|")


def encode(symbols: Iterable[str], *, unknown: Literal["refuse", "map"] = "refuse") -> NDArray[np.int64]:
    """Ids ``[n]`` of ``symbols``.

    Raises:
        BadInput: ``speech.unknown_phone`` for a symbol outside the inventory, unless ``unknown="map"`` gives it
            ``UNKNOWN_ID`` (see :func:`unknown_symbols` for the report).
    """
    wanted = list(symbols)
    missing = unknown_symbols(wanted)
    if missing and unknown == "refuse":
        raise BadInput(
            "speech.unknown_phone",
            f"These symbols are not in the phoneme inventory: {', '.join(map(repr, missing))}.",
            "Bring the transcription to the inventory's symbols: dubflow.speech.inventory.split_ipa.",
            symbols=missing,
        )
    return np.array([IDS.get(symbol, UNKNOWN_ID) for symbol in wanted], dtype=np.int64)


def decode(ids: Iterable[int]) -> list[str]:
    """Symbols of ``ids``.

    Raises:
        BadInput: ``speech.unknown_phone`` for an id outside the table.
    """
    numbers = [int(i) for i in ids]
    wrong = sorted({i for i in numbers if not 0 <= i < len(SYMBOLS)})
    if wrong:
        raise BadInput("speech.unknown_phone", f"The inventory has ids 0..{len(SYMBOLS) - 1}, not {wrong}.")
    return [SYMBOLS[i] for i in numbers]


def unknown_symbols(symbols: Iterable[str]) -> list[str]:
    """Those of ``symbols`` that the inventory lacks, each once, in order of appearance."""
    return [symbol for symbol in dict.fromkeys(symbols) if symbol not in IDS]


def normalised(name: str, language: str) -> tuple[list[str], int]:
    """One espeak-ng phoneme name as symbols of the inventory and its stress (0 none, 1 primary, 2 secondary).

    Nearly always one symbol; none for espeak's marks without sound; several where espeak's phoneme is a sequence
    (Russian ``ja``). A lone palatalisation mark comes back as itself, for the caller to join to the phone before.
    Symbols outside the inventory are returned as they are, so that nothing disappears.
    """
    if name.startswith("("):  # "(en)": the engine changes its language for a foreign word
        return [], 0
    stress = 1 if "ˈ" in name else 2 if "ˌ" in name else 0
    bare = name.strip("ˈˌ")
    bare = _WHOLE_IN.get(language[:2], {}).get(bare, bare)
    bare = _WHOLE.get(bare, bare).translate(_DROPPED)
    if bare in IDS or bare == "ʲ":
        return ([bare] if bare else []), stress
    if len(bare) > 1 and bare[0] not in "aɑɔɛœ":
        bare = bare.replace("\u0303", "")  # espeak's Italian marks some consonants with a tilde that is no nasality
    return [symbol for symbol, _ in _greedy(bare)], stress


def split_ipa(ipa: str, language: str = "en") -> list[tuple[str, int]]:
    """An IPA string as ``(symbol, stress)`` pairs, the longest symbol first; a mark before a phone stresses its vowel.

    Spaces, tie bars and syllable dots are ignored.

    Raises:
        BadInput: ``speech.unknown_phone`` when a stretch matches nothing.
    """
    pairs: list[tuple[str, int]] = []
    pending = 0
    for chunk in ipa.replace("_", " ").split():
        for symbol, mark in _greedy(_WHOLE_IN.get(language[:2], {}).get(chunk, chunk).translate(_DROPPED)):
            pending = mark or pending
            if symbol in VOWELS or symbol in SYLLABIC_CONSONANTS:
                pairs.append((symbol, pending))
                pending = 0
            elif symbol:
                pairs.append((symbol, 0))
    encode(symbol for symbol, _ in pairs)
    return pairs


def _greedy(text: str) -> list[tuple[str, int]]:
    """Longest-match pieces of ``text`` with the stress mark found before each; unknown characters come singly."""
    pieces: list[tuple[str, int]] = []
    position, stress = 0, 0
    while position < len(text):
        if text[position] in _STRESS_MARKS:
            stress = _STRESS_MARKS[text[position]]
            position += 1
            continue
        for length in range(min(_LONGEST, len(text) - position), 0, -1):
            if text[position : position + length] in PHONES or length == 1:
                pieces.append((text[position : position + length], stress))
                position += length
                break
        stress = 0
    return pieces
