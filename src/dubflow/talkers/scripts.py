"""What talkers say: GRID's commands and free sentences, each of which can be said in any of the seven languages.

A GRID command has six places: command, colour, preposition, letter, digit, adverb, for example ``bin blue at f two
now`` (Cooke, Barker, Cunningham, Shao, 2006). Its code is one character a place (``bbaf2n``; ``z`` is zero). Free
sentences are put together from phrases that stand in the same order in every language, so that a sentence is a handful
of numbers, and its translations are exact. A word salad is common words in any order: no sentence, but few of them hold
nearly every pair of sounds that a language has, which phrases do not.
"""

from __future__ import annotations

import re
from typing import Literal, Protocol

import numpy as np
from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.talkers.phrasebook import CARRIERS, SLOTS, common_words, phrasebook

_INITIALS: dict[str, str] = {
    "command": "blps",
    "colour": "bgrw",
    "preposition": "abiw",
    "letter": "abcdefghijklmnopqrstuvxyz",
    "digit": "z123456789",
    "adverb": "anps",
}
_SALAD = "w"  # no GRID command and no family of free sentences begins so
_SALAD_WORDS = (4, 9)
_OUTSIDE_WORD = re.compile(r"^[^\w]+|[^\w]+$")


class Script(Strict):
    """A sentence in one language."""

    code: str = Field(description="Language-free name of the sentence; equal codes are translations of each other.")
    language: str
    text: str = Field(description="As it is written.")
    spoken: str = Field(description="As the synthesiser gets it; word by word as long as ``text``.")

    @property
    def words(self) -> tuple[str, ...]:
        """The written words without punctuation."""
        return words_of(self.text)

    @property
    def is_salad(self) -> bool:
        """Whether these are words in any order (:class:`WordSalad`)."""
        return self.code.startswith(_SALAD)


class Sentence(Protocol):
    """Something that can be said in any language."""

    @property
    def code(self) -> str:
        """A name of small letters, digits and hyphens, the same in every language."""

    def script(self, language: str) -> Script:
        """The sentence in ``language``; raises WrongUse ``talkers.unknown_language``."""


def words_of(text: str) -> tuple[str, ...]:
    """The words of a written sentence, without the punctuation around them."""
    bare = (_OUTSIDE_WORD.sub("", word) for word in text.split())
    return tuple(word for word in bare if word)


class GridCommand(Strict):
    """A command of GRID's grammar; each field counts the entries of its place from 0."""

    command: int = Field(ge=0, lt=4)
    colour: int = Field(ge=0, lt=4)
    preposition: int = Field(ge=0, lt=4)
    letter: int = Field(ge=0, lt=25)
    digit: int = Field(ge=0, lt=10)
    adverb: int = Field(ge=0, lt=4)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> GridCommand:
        """One of the 64,000 commands, all equally likely."""
        return cls(**{slot: int(rng.integers(len(_INITIALS[slot]))) for slot in SLOTS})

    @classmethod
    def from_code(cls, code: str) -> GridCommand:
        """The command of a GRID utterance code such as ``bbaf2n``.

        Raises:
            BadInput: ``talkers.bad_code``.
        """
        numbers = {slot: _INITIALS[slot].find(letter) for slot, letter in zip(SLOTS, code, strict=False)}
        if len(code) != len(SLOTS) or min(numbers.values()) < 0:
            raise BadInput(
                "talkers.bad_code",
                f"{code!r} is not the code of a GRID command.",
                "A code has six characters, for example bbaf2n: bin blue at f two now.",
            )
        return cls(**numbers)

    @classmethod
    def from_text(cls, text: str, language: str) -> GridCommand:
        """The command that ``text`` says in ``language``.

        Raises:
            BadInput: ``talkers.bad_command``.
        """
        left = text.split()
        numbers: dict[str, int] = {}
        for slot in SLOTS:
            entries = [entry.split() for entry in getattr(phrasebook(language).grid, slot)]
            fitting = [entry for entry in entries if left[: len(entry)] == entry]
            if not fitting:
                raise BadInput(
                    "talkers.bad_command",
                    f"{text!r} is not a GRID command in {language}: no {slot} at {' '.join(left)!r}.",
                    f"Expected one of: {', '.join(map(' '.join, entries))}.",
                )
            longest = max(fitting, key=len)  # French `i grec` begins like the letter `i`
            numbers[slot] = entries.index(longest)
            left = left[len(longest) :]
        if left:
            raise BadInput(
                "talkers.bad_command", f"{text!r} goes on after a GRID command: {' '.join(left)!r}.", "Remove the rest."
            )
        return cls(**numbers)

    @property
    def code(self) -> str:
        """GRID's utterance code."""
        return "".join(_INITIALS[slot][getattr(self, slot)] for slot in SLOTS)

    def script(self, language: str) -> Script:
        """The command in ``language``, without capitals and punctuation, as GRID writes it."""
        book = phrasebook(language)
        written = [getattr(book.grid, slot)[getattr(self, slot)] for slot in SLOTS]
        spoken = [book.spoken.get(slot, {}).get(word, word) for slot, word in zip(SLOTS, written, strict=True)]
        return Script(code=self.code, language=language, text=" ".join(written), spoken=" ".join(spoken))


class FreeSentence(Strict):
    """An everyday sentence: who does what when, told by whom; or an action that somebody wants, asks for or must do."""

    family: Literal["statement", "report", "action"]
    opening: int = Field(ge=0, description="Which report or which carrier of an action; 0 in a statement.")
    subject: int = Field(ge=0, description="Who; 0 in an action.")
    deed: int = Field(ge=0, description="Which predicate or action.")
    time: int = Field(ge=0, description="When; 0 in a report.")

    @model_validator(mode="after")
    def _exists(self) -> FreeSentence:
        book = phrasebook("en")
        limits = {
            "statement": (1, len(book.subjects), len(book.predicates), len(book.times)),
            "report": (len(book.report), len(book.subjects), len(book.predicates), 1),
            "action": (CARRIERS, 1, len(book.actions), len(book.times)),
        }[self.family]
        numbers = (self.opening, self.subject, self.deed, self.time)
        if any(number >= limit for number, limit in zip(numbers, limits, strict=True)):
            raise ValueError(f"a {self.family} counts up to {limits} (excluded), not {numbers}")
        return self

    @classmethod
    def all(cls) -> list[FreeSentence]:
        """Every sentence there is, in a fixed order."""
        book = phrasebook("en")
        subjects, deeds, times = len(book.subjects), len(book.predicates), len(book.times)
        found = [
            cls(family="statement", opening=0, subject=subject, deed=deed, time=time)
            for subject in range(subjects)
            for deed in range(deeds)
            for time in range(times)
        ]
        found += [
            cls(family="report", opening=opening, subject=subject, deed=deed, time=0)
            for opening in range(len(book.report))
            for subject in range(subjects)
            for deed in range(deeds)
        ]
        found += [
            cls(family="action", opening=opening, subject=0, deed=deed, time=time)
            for opening in range(CARRIERS)
            for deed in range(len(book.actions))
            for time in range(times)
        ]
        return found

    @classmethod
    def draw(cls, rng: np.random.Generator) -> FreeSentence:
        """A sentence; the three families are equally likely."""
        book = phrasebook("en")
        family: Literal["statement", "report", "action"] = ("statement", "report", "action")[int(rng.integers(3))]
        openings = {"statement": 1, "report": len(book.report), "action": CARRIERS}[family]
        return cls(
            family=family,
            opening=int(rng.integers(openings)),
            subject=0 if family == "action" else int(rng.integers(len(book.subjects))),
            deed=int(rng.integers(len(book.actions if family == "action" else book.predicates))),
            time=0 if family == "report" else int(rng.integers(len(book.times))),
        )

    @property
    def code(self) -> str:
        """The family's initial and four numbers, for example ``s0b72`` (numbers in base 36)."""
        numbers = (self.opening, self.subject, self.deed, self.time)
        return self.family[0] + "".join(np.base_repr(number, 36).lower() for number in numbers)

    def script(self, language: str) -> Script:
        """The sentence in ``language``, with capital and full stop."""
        book = phrasebook(language)
        time = book.times[self.time]
        if self.family == "action":
            forms = book.actions[self.deed]
            text = book.action[self.opening].format(action=forms[self.opening % len(forms)], time=time)
        else:
            forms = book.predicates[self.deed]
            parts = {
                "subject": book.subjects[self.subject],
                "predicate": forms[0],
                "verb": forms[0],
                "rest": forms[-1],
                "time": time,
            }
            if self.family == "statement":
                text = book.statement.format(**parts)
            else:
                text = book.report[self.opening].format(clause=book.clause.format(**parts))
        text = text[0].upper() + text[1:]
        return Script(code=self.code, language=language, text=text, spoken=text)


class WordSalad(Strict):
    """Common words in any order, in one breath or two."""

    words: tuple[int, ...] = Field(min_length=2, description="Entries of the word list, from 0.")
    breath: int = Field(default=0, ge=0, description="Words before a comma; 0 for no comma.")

    @model_validator(mode="after")
    def _exists(self) -> WordSalad:
        known = len(common_words("en"))
        if any(not 0 <= word < known for word in self.words) or self.breath >= len(self.words):
            raise ValueError(f"words count from 0 to {known - 1} and a comma stands between them, not {self}")
        return self

    @classmethod
    def draw(cls, rng: np.random.Generator) -> WordSalad:
        """Four to eight different words; half of the salads have a comma, never beside the first or last word."""
        count = int(rng.integers(*_SALAD_WORDS))
        words = rng.choice(len(common_words("en")), size=count, replace=False)
        return cls(
            words=tuple(int(word) for word in words),
            breath=int(rng.integers(2, count - 1)) if rng.random() < 0.5 else 0,
        )

    @property
    def code(self) -> str:
        """``w``, two characters (base 36) a word, and a hyphen for the comma, for example ``w0b7201-1f8z``."""
        names = [np.base_repr(word, 36).lower().zfill(2) for word in self.words]
        return _SALAD + "-".join("".join(part) for part in self._breaths(names))

    def script(self, language: str) -> Script:
        """The words in ``language``, with capital and full stop."""
        listed = common_words(language)
        text = ", ".join(" ".join(part) for part in self._breaths([listed[word] for word in self.words])) + "."
        text = text[0].upper() + text[1:]
        return Script(code=self.code, language=language, text=text, spoken=text)

    def _breaths(self, parts: list[str]) -> list[list[str]]:
        return [parts[: self.breath], parts[self.breath :]] if self.breath else [parts]
