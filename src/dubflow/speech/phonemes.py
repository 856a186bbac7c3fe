"""Text to phones, in seven languages, with stress and the word each phone belongs to.

The phones are those that the synthesiser speaks, read off its own events, so a model that was trained on synthesised
speech meets the very same symbols when it is given text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from dubflow.speech.espeak import EspeakSynthesizer, Utterance, default_synthesizer
from dubflow.speech.intervals import SILENCE
from dubflow.speech.voices import LANGUAGES, Voice

__all__ = ["LANGUAGES", "EspeakPhonemizer", "Phone", "Phonemizer", "phone_sequence", "phonemize"]

_CACHED_TEXTS = 10_000
_TEXTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone of a text.

    Attributes:
        symbol: of the inventory; "" for a pause.
        stress: 0 none, 1 primary, 2 secondary.
        word_index: index into ``text.split()``; -1 for a pause.
    """

    symbol: str
    stress: int
    word_index: int


class Phonemizer(Protocol):
    """Turns text into phones."""

    def phonemize(self, text: str, language: str, *, pauses: bool = False) -> list[Phone]:
        """Phones of ``text``; with ``pauses`` also the pauses between and around its parts."""

    def phonemize_all(self, texts: Iterable[str], language: str, *, pauses: bool = False) -> list[list[Phone]]:
        """Many texts, faster than one by one."""


class EspeakPhonemizer:
    """A :class:`Phonemizer` by espeak-ng; remembers the last ten thousand texts.

    Args:
        synthesizer: whose process does the work; by default the shared one.
    """

    def __init__(self, synthesizer: EspeakSynthesizer | None = None) -> None:
        self._synthesizer = synthesizer
        self._known: dict[tuple[str, str], list[Phone]] = {}

    def phonemize(self, text: str, language: str, *, pauses: bool = False) -> list[Phone]:
        """Phones of ``text``.

        Raises:
            WrongUse: ``speech.unknown_language``.
            BadInput, OurFault: as :meth:`EspeakSynthesizer.synthesize`.
        """
        return self.phonemize_all([text], language, pauses=pauses)[0]

    def phonemize_all(self, texts: Iterable[str], language: str, *, pauses: bool = False) -> list[list[Phone]]:
        """Phones of each text; new texts go to the engine in few requests."""
        voice = Voice(language=language)
        voice.espeak_name()  # refuses unknown languages even when every text is known or the list is empty
        wanted = list(texts)
        new = list(dict.fromkeys(text for text in wanted if (text, language) not in self._known))
        found = {text: self._known[text, language] for text in wanted if text not in set(new)}
        for start in range(0, len(new), _TEXTS_AT_ONCE):  # the audio of a batch is held until its phones are read
            batch = new[start : start + _TEXTS_AT_ONCE]
            spoken = (self._synthesizer or default_synthesizer()).synthesize_all(batch, voice)
            found |= {text: phone_sequence(utterance) for text, utterance in zip(batch, spoken, strict=True)}
        self._remember(language, {text: found[text] for text in new})
        return [[phone for phone in found[text] if pauses or phone.symbol != SILENCE] for text in wanted]

    def _remember(self, language: str, found: dict[str, list[Phone]]) -> None:
        for text, phones in found.items():
            while len(self._known) >= _CACHED_TEXTS:
                del self._known[next(iter(self._known))]
            self._known[text, language] = phones


def phone_sequence(utterance: Utterance) -> list[Phone]:
    """The phones and pauses of an utterance, without their times."""
    return [
        Phone(interval.label, stress, word)
        for interval, stress, word in zip(utterance.phones, utterance.stresses, utterance.word_indices, strict=True)
    ]


_shared = EspeakPhonemizer()


def phonemize(text: str, language: str, *, pauses: bool = False) -> list[Phone]:
    """Phones of ``text`` in ``language`` (one of :data:`LANGUAGES` or an accent); see :class:`EspeakPhonemizer`."""
    return _shared.phonemize(text, language, pauses=pauses)
