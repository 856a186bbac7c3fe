"""The figures that quality control takes of a pair, and what is said against one whose figure is bad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "wrong_words",
    "old_words",
    "other_voice",
    "no_face",
    "other_face",
    "same_lips",
    "still_lips",
    "dull_lips",
    "other_scene",
    "unmeasured",
]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        better: which way is good. reason: what is said against a pair on the wrong side.
        needs: a figure without which this one cannot be taken; where that one is at fault, this one is not blamed.
    """

    name: str
    better: Literal["higher", "lower"]
    reason: Reason
    says: str
    needs: str | None = None


_ALL = (
    Figure("words_target", "lower", "wrong_words", "units of the target's text that the recogniser hears wrongly"),
    Figure("words_context", "lower", "wrong_words", "the same of the context, whose text is the translation"),
    Figure(
        "words_margin",
        "higher",
        "old_words",
        "errors of the context held against the target's text, less those against its own: above 0 it speaks its own "
        "language and words",
    ),
    Figure("voice_pair", "higher", "other_voice", "cosine of the voices of context and target"),
    Figure(
        "voice_language", "higher", "other_voice", "cosine of the voices of the context and of the half in its language"
    ),
    Figure("face_found", "higher", "no_face", "share of frames with a face, of the clip that has fewer"),
    Figure("face_pair", "higher", "other_face", "cosine of the faces of context and target", "face_found"),
    Figure("lmd", "higher", "same_lips", "lip landmark distance of context and target (Eq. 4)", "face_found"),
    Figure(
        "mar_diversity", "higher", "still_lips", "deviation of the context's mouth aspect, mar@geometric", "face_found"
    ),
    Figure(
        "mar_diversity_target", "higher", "still_lips", "the same of the target, whose lips are learnt", "face_found"
    ),
    Figure(
        "mar_diversity_paper",
        "higher",
        "still_lips",
        "deviation of the context's mouth aspect to the letter of Eq. 5 (mar@paper), which hardly sees how open it is",
        "face_found",
    ),
    Figure("qd", "higher", "dull_lips", "lmd times mar_diversity (Eq. 7)", "face_found"),
    Figure("scene", "higher", "other_scene", "how well picture and prompt agree, by a vision-language model, 0 to 1"),
)

FIGURES: Mapping[str, Figure] = {figure.name: figure for figure in _ALL}
"""By name, in the order of reports."""
