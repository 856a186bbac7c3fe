"""Written text as the networks were trained to read it."""

from __future__ import annotations

import numpy as np

from dubflow.diflow.inference.items import Ids
from dubflow.errors import BadInput
from dubflow.speech.intervals import SILENCE
from dubflow.speech.inventory import encode
from dubflow.speech.phonemes import LANGUAGES, Phone, phonemize
from dubflow.talkers.scripts import GridCommand


def written(text: str, language: str) -> tuple[Ids, Ids]:
    """Phoneme ids and stresses ``[N]`` each of ``text``: silence, the phones with their pauses, silence.

    That is what the corpus has where phone times are known: clips begin and end in silence, and a comma is one silent
    phone. For drawn talkers the two are the same, phone by phone (a test compares them); GRID's letter "a", which a
    sentence would make a weak vowel, is said as a letter in GRID's commands.

    Raises:
        BadInput: ``diflow.nothing_to_say`` for a text without a sound, and what ``phonemize`` says.
        WrongUse: ``speech.unknown_language``.
    """
    symbols, stress = [SILENCE], [0]
    for phone in _phones(text, language):
        if phone.symbol != SILENCE or symbols[-1] != SILENCE:
            symbols.append(phone.symbol)
            stress.append(phone.stress)
    if len(symbols) == 1:
        raise _nothing(text)
    if symbols[-1] != SILENCE:
        symbols.append(SILENCE)
        stress.append(0)
    return encode(symbols), np.array(stress, np.int64)


def _phones(text: str, language: str) -> list[Phone]:
    try:
        return phonemize(_as_spoken(text, language), language, pauses=True)
    except BadInput as error:
        if error.code != "speech.empty_text":
            raise
        raise _nothing(text) from error


def _as_spoken(text: str, language: str) -> str:
    """A command of GRID's grammar as it is spoken; every other text as it is."""
    if language not in LANGUAGES:
        return text
    try:
        return GridCommand.from_text(text, language).script(language).spoken
    except BadInput:
        return text


def _nothing(text: str) -> BadInput:
    return BadInput("diflow.nothing_to_say", f"Nothing in {text[:60]!r} can be spoken.", "Give words.")
