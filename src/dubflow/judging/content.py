"""What was said: word and character error rates of what a recogniser heard against what should have been said.

WER and CER are the least number of substitutions, deletions and insertions over the number of words (characters) of
the **reference** (Levenshtein; counted by jiwer). Reference and hypothesis have fixed places here and names of their
own, because some published scripts swap them, which changes the denominator. Two aggregates are in use and differ:
the corpus rate (all errors over all words, ours) and the mean of the utterances' rates (several dubbing papers').
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from dubflow.errors import BadInput, missing_extra


@dataclass(frozen=True)
class ErrorRate:
    """Errors of one or more utterances.

    Attributes:
        substitutions: units said otherwise. deletions: units not said. insertions: units said in addition.
        reference: units that should have been said.
        utterances: rate of each utterance.
    """

    substitutions: int
    deletions: int
    insertions: int
    reference: int
    utterances: tuple[float, ...]

    @property
    def errors(self) -> int:
        """Of all three kinds."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def corpus(self) -> float:
        """All errors over all units of the references; may exceed 1. Without any unit to say: 0, or 1 if anything
        was said, as jiwer has it."""
        return _rate(self.errors, self.reference)

    @property
    def mean(self) -> float:
        """Mean of the utterances' rates."""
        return sum(self.utterances) / len(self.utterances)


def normalised(text: str) -> str:
    """``text`` as it is compared: lower case, without punctuation, single spaces.

    Apostrophes inside a word stay (``don't``), and so do marks that change letters; letters with a point, as GRID's
    recogniser spells them (``a.``), lose it.
    """
    lowered = unicodedata.normalize("NFC", text).replace("’", "'").casefold()
    kept = "".join(
        character if _inside_word(lowered, index) else " "
        for index, character in enumerate(lowered)
        if unicodedata.category(character) != "Cf"
    )
    return " ".join(kept.split())


def _inside_word(text: str, index: int) -> bool:
    character = text[index]
    if character == "'":
        return 0 < index < len(text) - 1 and text[index - 1].isalpha() and text[index + 1].isalpha()
    return unicodedata.category(character)[0] in "LMN"


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str], *, as_written: bool = False) -> ErrorRate:
    """Words of what was heard (``hypotheses``) against what should have been said (``references``), pair by pair.

    Args:
        references: may be empty texts: whatever is heard there is inserted.
        hypotheses: as many.
        as_written: compare without :func:`normalised`; words are what white space separates.

    Raises:
        BadInput: ``judging.unequal_lists``, ``judging.nothing_to_judge``.
        WrongUse: ``install.missing_extra``.
    """
    return _counted(references, hypotheses, as_written, characters=False)


def character_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], *, as_written: bool = False
) -> ErrorRate:
    """As :func:`word_error_rate`, of characters; the spaces between words count."""
    return _counted(references, hypotheses, as_written, characters=True)


def _counted(references: Sequence[str], hypotheses: Sequence[str], as_written: bool, characters: bool) -> ErrorRate:
    try:
        import jiwer
    except ImportError as error:
        raise missing_extra("jiwer") from error
    if isinstance(references, str) or isinstance(hypotheses, str) or len(references) != len(hypotheses):
        raise BadInput(
            "judging.unequal_lists",
            "References and hypotheses must be two lists of the same length.",
            "Give an empty text where nothing was heard; an utterance must not be left out.",
        )
    if not references:
        raise BadInput("judging.nothing_to_judge", "There is no utterance to judge.", "Give at least one.")
    count = jiwer.process_characters if characters else jiwer.process_words
    each = []
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        pair = (reference, hypothesis) if as_written else (normalised(reference), normalised(hypothesis))
        each.append(count(*pair))
    spoken = [one.hits + one.substitutions + one.deletions for one in each]
    errors = [one.substitutions + one.deletions + one.insertions for one in each]
    return ErrorRate(
        substitutions=sum(one.substitutions for one in each),
        deletions=sum(one.deletions for one in each),
        insertions=sum(one.insertions for one in each),
        reference=sum(spoken),
        utterances=tuple(_rate(*pair) for pair in zip(errors, spoken, strict=True)),
    )


def _rate(errors: int, units: int) -> float:
    return errors / units if units else float(errors > 0)
