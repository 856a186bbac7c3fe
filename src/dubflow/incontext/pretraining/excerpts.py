"""A few words out of a clip of sound: short examples from which the alignment of sound and text is learnt first.

Where a clip's words lie is known, so any run of them is an example of its own, with silence of the same clip before and
after it. A few words have few ways to be laid along the sound, and cost a third of a whole sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dubflow.incontext.pretraining.guide import TOKEN_S, SaidWord
from dubflow.incontext.pretraining.latents import ClipLatent

_SILENT_TOKEN = 2  # the first ones know of the clip's edge; nobody speaks before 0.16 s
_LEAST_MARGIN = 2


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Words of a clip: their audio tokens ``[n, D]``, the prompt that asks for them, and where they lie in both."""

    audio: Tensor
    prompt: str
    words: tuple[SaidWord, ...]


def excerpts(clips: Sequence[ClipLatent], most: int, sources: Sequence[torch.Generator]) -> list[Excerpt]:
    """Up to ``most`` words of each clip, all of one length; each drawn by its own generator."""
    cut = [_cut(clip, most, source) for clip, source in zip(clips, sources, strict=True)]
    length = max(len(one.audio) for one in cut) + 2 * _LEAST_MARGIN
    return [_laid(one, clip, length, source) for one, clip, source in zip(cut, clips, sources, strict=True)]


def _cut(clip: ClipLatent, most: int, source: torch.Generator) -> Excerpt:
    own = clip.clip
    # One sentence alone: prompts of two hold times, which would be wrong for a part.
    if not own.words or "|" in own.prompt:
        return Excerpt(clip.audio, own.prompt, own.words)
    count = 1 + _drawn(min(most, len(own.words)), source)
    first = _drawn(len(own.words) - count + 1, source)
    words = own.words[first : first + count]
    start = max(0, round(words[0].start / TOKEN_S))
    stop = min(len(clip.audio), round(words[-1].end / TOKEN_S) + 1)
    open_at = own.prompt.index('"') + 1
    said = own.prompt[words[0].first : words[-1].last]
    prompt = f'{own.prompt[:open_at]}{said}"'
    moved_letters = words[0].first - open_at
    moved_s = start * TOKEN_S
    return Excerpt(
        clip.audio[start:stop],
        prompt,
        tuple(
            SaidWord(one.start - moved_s, one.end - moved_s, one.first - moved_letters, one.last - moved_letters)
            for one in words
        ),
    )


def _laid(cut: Excerpt, clip: ClipLatent, length: int, source: torch.Generator) -> Excerpt:
    """The excerpt somewhere within ``length`` tokens, silence around it."""
    spare = length - len(cut.audio)
    before = _LEAST_MARGIN + _drawn(spare - 2 * _LEAST_MARGIN + 1, source)
    silence = clip.audio[min(_SILENT_TOKEN, len(clip.audio) - 1)]
    laid = silence.expand(length, -1).clone()
    laid[before : before + len(cut.audio)] = cut.audio
    moved_s = before * TOKEN_S
    words = tuple(SaidWord(one.start + moved_s, one.end + moved_s, one.first, one.last) for one in cut.words)
    return Excerpt(laid, cut.prompt, words)


def _drawn(below: int, source: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=source))
