"""What the mouth does for each phone of the inventory.

Every symbol is described once, whatever the language: how far the lips and jaw open, how wide or round the lips are,
whether they are pressed together, how much of the teeth and the tongue is seen, and how firmly the phone insists on it
(its dominance over neighbours in coarticulation, after Cohen and Massaro, 1993: lips must close for ``p``, while ``k``
takes the lip shape of the vowel beside it). Diphthongs have one shape for each of their parts.

Vowel shapes follow the vowel's height, backness and rounding; consonant shapes their place of articulation.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum

from dubflow.errors import BadInput
from dubflow.speech.intervals import SILENCE
from dubflow.speech.inventory import PHONES, SYLLABIC_CONSONANTS, UNKNOWN, VOWELS


class Viseme(StrEnum):
    """Classes of phones that look alike."""

    REST = "rest"
    BILABIAL = "bilabial"  # p b m
    LABIODENTAL = "labiodental"  # f v
    DENTAL = "dental"  # th
    ALVEOLAR = "alveolar"  # t d n s z
    LATERAL = "lateral"  # l
    POSTALVEOLAR = "postalveolar"  # sh ch
    RHOTIC = "rhotic"  # English r
    PALATAL = "palatal"  # y as in yes
    VELAR = "velar"  # k g and all that is made further back
    LABIOVELAR = "labiovelar"  # w
    OPEN = "open"  # a
    MID_FRONT = "mid_front"  # e
    CLOSE_FRONT = "close_front"  # i
    CENTRAL = "central"  # schwa
    OPEN_BACK_ROUNDED = "open_back_rounded"  # aw
    MID_BACK_ROUNDED = "mid_back_rounded"  # o
    CLOSE_BACK_ROUNDED = "close_back_rounded"  # u
    FRONT_ROUNDED = "front_rounded"  # French u, German ö


@dataclass(frozen=True, slots=True)
class MouthShape:
    """A target of the lips, jaw and tongue.

    Attributes:
        openness: 0 shut to 1, the widest opening of speech (a stressed ``a``).
        width: -1 narrow, 0 at rest, 1 spread.
        rounding: 0 to 1, lips rounded and pushed forward.
        press: 0 to 1, lips pressed together.
        teeth: 0 to 1, how much of the teeth is seen.
        tongue: 0 to 1, how far the tongue tip is raised to the upper teeth, where it can be seen.
    """

    openness: float
    width: float = 0.0
    rounding: float = 0.0
    press: float = 0.0
    teeth: float = 0.5
    tongue: float = 0.0


@dataclass(frozen=True, slots=True)
class Articulation:
    """One phone as it is seen.

    Attributes:
        viseme: its class (of a diphthong: that of its first part).
        shapes: one target, or one for each part of a diphthong, equally spaced over the phone.
        dominance: 0 to 1, how firmly the shape holds against its neighbours'.
        vowel: vowels and syllabic consonants. voiced: the vocal folds move.
    """

    viseme: Viseme
    shapes: tuple[MouthShape, ...]
    dominance: float
    vowel: bool
    voiced: bool

    @property
    def shape(self) -> MouthShape:
        """The first, and most often only, target."""
        return self.shapes[0]

    @property
    def is_bilabial(self) -> bool:
        """Whether the lips close completely."""
        return self.viseme is Viseme.BILABIAL

    @property
    def is_labiodental(self) -> bool:
        """Whether the lower lip touches the upper teeth."""
        return self.viseme is Viseme.LABIODENTAL

    @property
    def is_rounded(self) -> bool:
        """Whether the lips are rounded at any point."""
        return any(shape.rounding >= 0.4 for shape in self.shapes)


@dataclass(frozen=True, slots=True)
class _Manner:
    viseme: Viseme
    shape: MouthShape
    dominance: float


# Vowels: openness by height (close .2, near-close .3, mid .5, open-mid .65, open .9 to 1), width by backness.
_VOWEL: dict[str, _Manner] = {
    **{v: _Manner(Viseme.OPEN, MouthShape(1.0, 0.15, teeth=0.6), 0.75) for v in ("a", "ɑ")},
    "æ": _Manner(Viseme.OPEN, MouthShape(0.9, 0.4, teeth=0.7), 0.75),
    "ɐ": _Manner(Viseme.OPEN, MouthShape(0.7, 0.1), 0.5),
    "ʌ": _Manner(Viseme.OPEN, MouthShape(0.65, 0.05), 0.6),
    "ɛ": _Manner(Viseme.MID_FRONT, MouthShape(0.65, 0.45, teeth=0.7), 0.7),
    "e": _Manner(Viseme.MID_FRONT, MouthShape(0.45, 0.55, teeth=0.7), 0.7),
    **{v: _Manner(Viseme.CLOSE_FRONT, MouthShape(0.3, 0.5, teeth=0.7), 0.6) for v in ("ɪ", "ᵻ")},
    "i": _Manner(Viseme.CLOSE_FRONT, MouthShape(0.2, 0.85, teeth=0.8), 0.7),
    "ɨ": _Manner(Viseme.CLOSE_FRONT, MouthShape(0.25, 0.4, teeth=0.6), 0.6),
    "ə": _Manner(Viseme.CENTRAL, MouthShape(0.4), 0.35),
    **{v: _Manner(Viseme.CENTRAL, MouthShape(0.5, -0.05, 0.15), 0.6) for v in ("ɜ", "ɚ")},
    "ɒ": _Manner(Viseme.OPEN_BACK_ROUNDED, MouthShape(0.8, -0.25, 0.4, teeth=0.3), 0.7),
    "ɔ": _Manner(Viseme.OPEN_BACK_ROUNDED, MouthShape(0.65, -0.4, 0.6, teeth=0.25), 0.75),
    "o": _Manner(Viseme.MID_BACK_ROUNDED, MouthShape(0.45, -0.6, 0.8, teeth=0.15), 0.8),
    "ɵ": _Manner(Viseme.MID_BACK_ROUNDED, MouthShape(0.45, -0.45, 0.65, teeth=0.2), 0.7),
    "ʊ": _Manner(Viseme.CLOSE_BACK_ROUNDED, MouthShape(0.3, -0.5, 0.65, teeth=0.15), 0.7),
    "ʉ": _Manner(Viseme.CLOSE_BACK_ROUNDED, MouthShape(0.22, -0.6, 0.8, teeth=0.1), 0.75),
    "u": _Manner(Viseme.CLOSE_BACK_ROUNDED, MouthShape(0.2, -0.8, 1.0, teeth=0.05), 0.85),
    "œ": _Manner(Viseme.FRONT_ROUNDED, MouthShape(0.55, -0.35, 0.6, teeth=0.25), 0.75),
    "ø": _Manner(Viseme.FRONT_ROUNDED, MouthShape(0.4, -0.5, 0.75, teeth=0.2), 0.8),
    "ʏ": _Manner(Viseme.FRONT_ROUNDED, MouthShape(0.3, -0.55, 0.75, teeth=0.15), 0.75),
    "y": _Manner(Viseme.FRONT_ROUNDED, MouthShape(0.2, -0.75, 0.95, teeth=0.1), 0.85),
}

_CONSONANT: tuple[tuple[str, _Manner], ...] = (
    ("p b m", _Manner(Viseme.BILABIAL, MouthShape(0.0, press=1.0, teeth=0.0), 1.0)),
    ("β", _Manner(Viseme.BILABIAL, MouthShape(0.04, press=0.4, teeth=0.0), 0.9)),
    ("f v", _Manner(Viseme.LABIODENTAL, MouthShape(0.06, 0.1, teeth=0.9), 0.95)),
    ("ʋ", _Manner(Viseme.LABIODENTAL, MouthShape(0.1, 0.05, teeth=0.8), 0.85)),
    ("θ ð", _Manner(Viseme.DENTAL, MouthShape(0.25, 0.1, teeth=0.8, tongue=1.0), 0.6)),
    ("t d n ts dz s z ɾ r", _Manner(Viseme.ALVEOLAR, MouthShape(0.18, 0.15, teeth=0.9, tongue=0.5), 0.35)),
    ("l ɫ ɬ", _Manner(Viseme.LATERAL, MouthShape(0.3, 0.05, teeth=0.6, tongue=0.85), 0.35)),
    ("ɭ ɳ ɽ ʂ ʐ", _Manner(Viseme.ALVEOLAR, MouthShape(0.22, -0.05, 0.15, teeth=0.7, tongue=0.4), 0.4)),
    ("tʃ dʒ ʃ ʒ", _Manner(Viseme.POSTALVEOLAR, MouthShape(0.2, -0.35, 0.55, teeth=0.9, tongue=0.3), 0.7)),
    ("tɕ dʑ ɕ ʑ", _Manner(Viseme.POSTALVEOLAR, MouthShape(0.2, 0.05, 0.25, teeth=0.9, tongue=0.3), 0.55)),
    ("ɹ", _Manner(Viseme.RHOTIC, MouthShape(0.25, -0.3, 0.45, teeth=0.5), 0.5)),
    ("j ʝ ç c ɟ ɲ ʎ", _Manner(Viseme.PALATAL, MouthShape(0.2, 0.45, teeth=0.7), 0.35)),
    ("k ɡ ŋ q x ɣ χ ʁ ʀ ʔ h", _Manner(Viseme.VELAR, MouthShape(0.3, 0.05, teeth=0.5), 0.15)),
    ("w ʍ", _Manner(Viseme.LABIOVELAR, MouthShape(0.12, -0.8, 1.0, teeth=0.0), 0.85)),
)

_PLACES: dict[str, _Manner] = {symbol: manner for symbols, manner in _CONSONANT for symbol in symbols.split()}
_VOICELESS = frozenset(("ts", "tʃ", "tɕ", "pf", *"ptkqʔcfθsʃʂɕçxχhɬʍ"))
_MARKS = "ːʲ\u0303\u0329"  # length, palatalisation, nasality, syllabicity: none changes the lips

# A phone that nobody knows: a mouth that talks and commits itself to nothing.
_NEUTRAL = Articulation(Viseme.CENTRAL, (MouthShape(0.3),), 0.1, vowel=False, voiced=True)
_REST = Articulation(Viseme.REST, (MouthShape(0.0, teeth=0.0),), 0.3, vowel=False, voiced=False)


@functools.cache
def articulation(symbol: str) -> Articulation:
    """The articulation of a symbol of the inventory; "" (silence) is the mouth at rest, the unknown neutral.

    Raises:
        BadInput: ``speech.unknown_phone``.
    """
    if symbol == SILENCE:
        return _REST
    if symbol == UNKNOWN:
        return _NEUTRAL
    if symbol not in PHONES:
        raise BadInput(
            "speech.unknown_phone",
            f"{symbol!r} is not a phone of the inventory.",
            "See dubflow.speech.inventory.PHONES.",
        )
    bare = "".join(character for character in symbol if character not in _MARKS)
    if symbol in VOWELS or bare == "pf":  # of pf too each letter is seen: the lips close, then the teeth meet the lip
        parts = [_VOWEL.get(letter) or _PLACES[letter] for letter in bare]
    else:
        parts = [_PLACES[bare]]
    return Articulation(
        viseme=parts[0].viseme,
        shapes=tuple(part.shape for part in parts),
        dominance=max(part.dominance for part in parts),
        vowel=symbol in VOWELS or symbol in SYLLABIC_CONSONANTS,
        voiced=bare not in _VOICELESS,
    )
