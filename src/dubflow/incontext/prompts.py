"""The prompt: who speaks which language and says what (JUST-DUB-IT's template)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TEMPLATE = '[Speaker] is speaking [Language/Accent], saying: "[Dialogue]"'
"""As adapters' metadata record it; ``[Code]`` stands for the language's two letters, which small bases read."""

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
    code = language.partition("-")[0].lower()
    named = LANGUAGES.get(code, language)
    # A quotation mark inside would end what is said.
    words = " ".join(said.replace('"', "'").split())
    filled = template
    # What is said comes last: it may hold anything, a place's name too.
    places = (("[Speaker]", speaker), ("[Language/Accent]", named), ("[Code]", code), ("[Dialogue]", words))
    for place, value in places:
        filled = filled.replace(place, value, 1)
    return filled
