"""Phone errors: substitutions, deletions and insertions over the phones of the reference (Levenshtein, jiwer)."""

from __future__ import annotations

from collections.abc import Sequence

from dubflow.judging.content import ErrorRate, word_error_rate


def phone_errors(references: Sequence[Sequence[str]], heard: Sequence[Sequence[str]]) -> ErrorRate:
    """Phones of what was heard against what should have been said, utterance by utterance.

    Raises:
        BadInput: ``judging.unequal_lists``, ``judging.nothing_to_judge``.
        WrongUse: ``install.missing_extra``.
    """
    # No symbol of the inventory has a space in it, so phones are to jiwer what words are.
    return word_error_rate([" ".join(one) for one in references], [" ".join(one) for one in heard], as_written=True)
