"""Lip augmentation: the lips of a second pass that spells letters, with the sound of the first (Sec. 3.2, A.1, B.3).

Re-spoken lips tend to look alike, and like those that they replace; a context whose lips differ clearly from its
target's teaches an adapter to look at the words. The second pass is told to speak letters ("A..B..C"). What comes of
merging the two passes has lips that do not follow its sound: it may be a context, never a target, which types
(:mod:`dubflow.incontext.pairs.engine_parts`) and the pair manifest both hold.
"""

from __future__ import annotations

import string

import numpy as np

from dubflow.errors import WrongUse
from dubflow.incontext.inference.sampling import ClipLatents


def spelled(seconds: float, seed: int, *, a_second: float, separator: str = "..") -> str:
    """Letters to speak within ``seconds``: at least three, no letter twice in a row, the same for the same seed."""
    count = max(3, round(seconds * a_second))
    drawn = np.random.default_rng(seed)
    letters: list[str] = []
    while len(letters) < count:
        letter = string.ascii_uppercase[int(drawn.integers(26))]
        if not letters or letters[-1] != letter:
            letters.append(letter)
    return separator.join(letters)


def merged(sound: ClipLatents, lips: ClipLatents) -> ClipLatents:
    """The sound of one pass over a clip with the picture of another.

    Raises:
        WrongUse: ``incontext.token_shape`` for passes over two clips.
    """
    if sound.video.shape != lips.video.shape or sound.audio.shape != lips.audio.shape:
        raise WrongUse(
            "incontext.token_shape",
            f"Latents {tuple(sound.video.shape)} and {tuple(lips.video.shape)} are not two passes over one clip.",
        )
    return ClipLatents(lips.video, sound.audio)
