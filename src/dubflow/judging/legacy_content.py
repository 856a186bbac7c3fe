"""The word error rate as dubbing papers' scripts compute it, to stand beside their tables and nowhere else.

Read from the evaluation script that StyleDubber publishes (``Dub_Metric/WER_Whisper``), which later dubbing papers
follow. It differs from :mod:`dubflow.judging.content` in all of these:

* reference and hypothesis change places, so that errors are divided by the words that were *heard*: a system that says
  too much scores better than one that says too little;
* clips in which nothing was heard, or whose score could not be computed, are left out: a silent dub costs nothing;
* the clips' rates are averaged, so a word of a short line weighs more than one of a long line;
* what is no letter, digit, underscore or white space is deleted (``don't`` becomes ``dont``, ``well-known`` one word),
  every digit is read by its English name, and only then is the text put in lower case; no Unicode normalisation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dubflow.errors import BadInput
from dubflow.judging.content import word_error_rate

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NO_WORD = re.compile(r"[^\w\s]")
_ASCII_DIGIT = re.compile(r"[0-9]")


@dataclass(frozen=True)
class LegacyRate:
    """Mean of the counted utterances' rates.

    Attributes:
        utterances: rate of each utterance, None where it was left out.
    """

    utterances: tuple[float | None, ...]

    @property
    def counted(self) -> tuple[float, ...]:
        """Rates that entered the mean."""
        return tuple(rate for rate in self.utterances if rate is not None)

    @property
    def left_out(self) -> int:
        """Utterances that did not."""
        return len(self.utterances) - len(self.counted)

    @property
    def mean(self) -> float:
        """What the scripts print; may exceed 1.

        Raises:
            BadInput: ``judging.nothing_to_judge`` where every utterance was left out (the scripts divide by zero).
        """
        if not self.counted:
            raise BadInput(
                "judging.nothing_to_judge",
                "In none of the utterances was anything heard.",
                "Use dubflow.judging.content, which counts silence as an error.",
            )
        return sum(self.counted) / len(self.counted)


def legacy_text(text: str) -> str:
    """``text`` as the scripts compare it: digits by name one by one, punctuation deleted, lower case."""
    bare = _NO_WORD.sub("", text)
    return _ASCII_DIGIT.sub(lambda digit: f" {_DIGITS[int(digit.group())]}", bare).lower()


def legacy_word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> LegacyRate:
    """As peers compute it, of what was heard (``hypotheses``) and what should have been said, pair by pair.

    Raises:
        BadInput: ``judging.unequal_lists``, ``judging.nothing_to_judge`` for empty lists.
        WrongUse: ``install.missing_extra``.
    """
    spoken, heard = [legacy_text(one) for one in references], [legacy_text(one) for one in hypotheses]
    swapped = word_error_rate(heard, spoken, as_written=True)
    return LegacyRate(
        tuple(rate if text.split() else None for rate, text in zip(swapped.utterances, heard, strict=True))
    )
