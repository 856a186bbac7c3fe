"""What sentences are made of: ``phrases/<language>.yaml`` and the common words of ``phrases/words.yaml``.

Entries stand in one order in all seven languages, so that a number means the same in each.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import BeforeValidator, Field, model_validator

from dubflow.config import Model, Strict, validated
from dubflow.errors import WrongUse
from dubflow.speech.voices import LANGUAGES

SLOTS = ("command", "colour", "preposition", "letter", "digit", "adverb")
"""The six places of a GRID command, in order."""

CARRIERS = 3
"""Sentences that an action can stand in."""

Forms = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else tuple(value))]
Phrases = Annotated[tuple[str, ...], BeforeValidator(tuple)]


class GridWords(Strict):
    """What may stand in each place of a GRID command; an entry can have several words."""

    command: Phrases = Field(min_length=4, max_length=4)
    colour: Phrases = Field(min_length=4, max_length=4)
    preposition: Phrases = Field(min_length=4, max_length=4)
    letter: Phrases = Field(min_length=25, max_length=25, description="Names of a to z without w.")
    digit: Phrases = Field(min_length=10, max_length=10, description="From zero.")
    adverb: Phrases = Field(min_length=4, max_length=4)


class Phrasebook(Strict):
    """The phrases of one language; entry ``n`` of a list means the same in every language.

    Templates name the parts in braces. A predicate is a phrase, or its finite verb and the rest where the language
    parts them; an action is a phrase, or one form for each carrier sentence.
    """

    grid: GridWords
    spoken: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="For a place of a command: words spelled otherwise for the synthesiser."
    )
    statement: str
    report: Phrases = Field(min_length=8, max_length=8)
    clause: str
    action: Phrases = Field(min_length=CARRIERS, max_length=CARRIERS)
    subjects: Phrases = Field(min_length=12, max_length=12)
    predicates: Annotated[tuple[Forms, ...], BeforeValidator(tuple)] = Field(min_length=16, max_length=16)
    times: Phrases = Field(min_length=10, max_length=10)
    actions: Annotated[tuple[Forms, ...], BeforeValidator(tuple)] = Field(min_length=14, max_length=14)


class WordList(Strict):
    """Common words: a concept a row, in each row one word of each language."""

    languages: Phrases
    words: Annotated[
        tuple[tuple[str, ...], ...], BeforeValidator(lambda rows: tuple(tuple(str(row).split()) for row in rows))
    ] = Field(min_length=300)

    @model_validator(mode="after")
    def _is_a_table(self) -> WordList:
        bad = [row for row in self.words if len(row) != len(self.languages)]
        if bad or self.languages != LANGUAGES:
            raise ValueError(f"every row has a word of each of {', '.join(LANGUAGES)}; wrong: {bad[:3]}")
        return self


@functools.cache
def common_words(language: str) -> tuple[str, ...]:
    """Common words of ``language``; the ``n``-th means the same in every language.

    Raises:
        WrongUse: ``talkers.unknown_language``.
    """
    _require_known(language)
    listed = _read("words.yaml", WordList)
    place = listed.languages.index(language)
    return tuple(row[place] for row in listed.words)


@functools.cache
def phrasebook(language: str) -> Phrasebook:
    """The phrases of ``language``.

    Raises:
        WrongUse: ``talkers.unknown_language``.
    """
    _require_known(language)
    return _read(f"{language}.yaml", Phrasebook)


def _require_known(language: str) -> None:
    if language not in LANGUAGES:
        raise WrongUse(
            "talkers.unknown_language",
            f"Talkers do not speak {language!r}.",
            f"Languages: {', '.join(LANGUAGES)}.",
        )


def _read(name: str, model: type[Model]) -> Model:
    source = files("dubflow.talkers").joinpath("phrases", name)
    return validated(model, yaml.safe_load(source.read_text(encoding="utf-8")), name)
