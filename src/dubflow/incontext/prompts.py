"""The prompt: who speaks which language and says what (JUST-DUB-IT's template)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TEMPLATE = '[Speaker] is speaking [Language/Accent], saying: "[Dialogue]"'
"""As adapters' metadata record it."""

NEGATIVE = "worst quality, inconsistent motion, blurry, jittery, distorted"
"""What guidance leads away from, in the released code."""

LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "es": "Spanish",
    "ru": "Russian",
    "fr": "French",
    "de": "German",
    "it": "Italian",
    "el": "Greek",
}
"""The paper's seven languages by their codes."""


def dub_prompt(
    dialogue: str | Sequence[str], language: str, speaker: str = "The person", template: str = TEMPLATE
) -> str:
    """The prompt of one clip.

    Args:
        dialogue: what is said; several texts are said one after the other.
        language: code of a language (an accent such as ``en-us`` counts as its language), or its name.
        speaker: who speaks, as a sentence begins.
    """
    said = dialogue if isinstance(dialogue, str) else " ".join(one.strip() for one in dialogue)
    named = LANGUAGES.get(language.partition("-")[0].lower(), language)
    # A quotation mark inside would end what is said.
    words = " ".join(said.replace('"', "'").split())
    filled = template
    for place, value in (("[Speaker]", speaker), ("[Language/Accent]", named), ("[Dialogue]", words)):
        filled = filled.replace(place, value, 1)
    return filled
