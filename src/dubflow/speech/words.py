"""The words of a text, and which phones belong to each.

A word here is a whitespace-separated token of the text, so ``text.split()`` and the words of an utterance correspond
one to one. espeak-ng sees it differently: it reads ``1999`` as several words and merges others into one (``of the``
becomes a single unit). Its units carry the text position they came from; a token that received no unit of its own
shares the unit of the token before it, and the unit's phones are divided by comparing them with each token spoken
alone.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from dubflow.errors import BadInput

MAX_CHARACTERS = 10_000


def cleaned(text: str) -> str:
    """``text`` as it is spoken: composed characters (NFC), single spaces.

    Raises:
        BadInput: ``speech.empty_text`` when nothing in it can be spoken, ``speech.text_too_long``,
            ``speech.bad_text`` for characters that are no text (NUL, lone surrogates).
    """
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in plain):
        raise BadInput("speech.bad_text", "The text holds control characters or broken Unicode.", "Remove them.")
    if not speakable(plain):
        raise BadInput("speech.empty_text", "There is nothing to speak in the text.", "Give at least one word.")
    if len(plain) > MAX_CHARACTERS:
        raise BadInput(
            "speech.text_too_long",
            f"The text has {len(plain)} characters, more than {MAX_CHARACTERS}.",
            "Speak it sentence by sentence.",
        )
    return plain


def speakable(text: str) -> bool:
    """Whether anything in ``text`` is spoken: letters, digits, symbols, and the punctuation that has a name."""
    return any(unicodedata.category(character)[0] in "LNS" or character in "&%@#" for character in text)


def bare_word(token: str) -> str:
    """A token without the punctuation around it; a token that is all punctuation stays as it is."""
    inside = [i for i, character in enumerate(token) if unicodedata.category(character)[0] not in "PZ"]
    return token[inside[0] : inside[-1] + 1] if inside else token


def token_starts(text: str) -> list[int]:
    """Character offset of each token of a cleaned ``text``."""
    return [i for i in range(len(text)) if i == 0 or text[i - 1] == " "]


def tokens_of_positions(starts: Sequence[int], positions: Sequence[int]) -> list[int]:
    """Index of the token that each text position (from 0) lies in; never going back, as speech does not."""
    owners: list[int] = []
    for position in positions:
        owner = max(0, bisect_right(starts, position) - 1)
        owners.append(max(owner, owners[-1]) if owners else owner)
    return owners


def shared_runs(owners: Sequence[int], tokens: int) -> list[tuple[int, int]]:
    """Half-open token ranges that share one unit: an owner followed by tokens that own nothing.

    Tokens before the first owner join the range of the first owner.
    """
    owning = sorted(set(owners))
    if not owning:
        return []
    edges = [0, *owning[1:], tokens]
    return [(a, b) for a, b in pairwise(edges) if b - a > 1]


def divide(phones: Sequence[str], alone: Sequence[Sequence[str]]) -> list[int]:
    """Cut a unit's ``phones`` into one stretch a token so that each is most like that token spoken ``alone``.

    Least total edit distance by dynamic programming over the cut points; among equals, cuts come where the lengths of
    the lone pronunciations put them.

    Returns:
        ``len(alone) + 1`` cut points from 0 to ``len(phones)``; a token without sound gets an empty stretch.
    """
    count, total = len(phones), max(1, sum(map(len, alone)))
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    expected = 0.0
    for index, lone in enumerate(alone):
        expected += len(lone) / total * count
        ends = [count] if index == len(alone) - 1 else range(count + 1)
        row: dict[int, tuple[float, int]] = {}
        for end in ends:
            nudge = 1e-3 * abs(end - expected)
            row[end] = min(
                (cost + edit_distance(phones[start:end], lone) + nudge, start)
                for start, (cost, _) in best[-1].items()
                if start <= end
            )
        best.append(row)
    cuts = [count]
    for row in reversed(best[1:]):
        cuts.append(row[cuts[-1]][1])
    return cuts[::-1]


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Insertions, deletions and substitutions that turn one sequence into the other."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
