r"""Which letters are being said: a guide for the attention of the sound to its text.

Where a sentence's words lie in time is known exactly in the embedded world. For an audio token :math:`t` within a word,
let :math:`S_t` be the letters of that word around the one whose turn it is when the word is read at an even pace. One
head of every block is asked to look there:

.. math:: L_g = - \frac{1}{|T|} \sum_{t \in T} \log \sum_{j \in S_t} A_{tj}

with the head's attention :math:`A` after the softmax, and :math:`T` the tokens at which something is said. The weight
of this loss only shortens the search for an alignment, which else takes thousands of steps; nothing of it is used when
the base speaks. (Guided attention: Tachibana, Uenoyama, Aihara, 2018, who guide to the diagonal.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TOKEN_S = 0.04
_AROUND = 2
_FIRST_BLOCK = 1
_HEAD = 0
NOTHING = -1


@dataclass(frozen=True)
class SaidWord:
    """A word: seconds of the clip, and its letters ``first`` to ``last`` (the one behind) in the prompt."""

    start: float
    end: float
    first: int
    last: int


def letters_of(words: Sequence[SaidWord], tokens: int) -> Tensor:
    """First letter and the one behind the last for each audio token, int64 ``[tokens, 2]``; -1 in silence."""
    found = torch.full((tokens, 2), NOTHING)
    for token in range(tokens):
        middle = (token - 0.25) * TOKEN_S  # a token stands for the four mel frames that end with its own
        for word in words:
            if word.start <= middle < word.end:
                share = (middle - word.start) / (word.end - word.start)
                letter = word.first + int(share * (word.last - word.first))
                found[token, 0] = max(word.first, letter - _AROUND)
                found[token, 1] = min(word.last, letter + _AROUND + 1)
    return found


def guide_loss(queries: Tensor, keys: Tensor, letters: Tensor, heads: int) -> Tensor:
    """The guide's loss for one attention.

    Args:
        queries: ``[B, T, D]``, keys: ``[B, L, D]``, after their norms; ``heads`` of them side by side.
        letters: ``[B, T, 2]`` of :func:`letters_of`.
    """
    width = queries.shape[-1] // heads
    own = slice(_HEAD * width, (_HEAD + 1) * width)
    logits = queries[..., own].float() @ keys[..., own].float().transpose(1, 2) * width**-0.5
    places = torch.arange(keys.shape[1], device=keys.device)
    wanted = (places >= letters[..., :1]) & (places < letters[..., 1:])
    said = letters[..., 0] != NOTHING
    if not bool(said.any()):
        return queries.new_zeros(())
    inside = logits[said].masked_fill(~wanted[said], float("-inf"))
    loss: Tensor = (logits[said].logsumexp(dim=-1) - inside.logsumexp(dim=-1)).mean()
    return loss


@contextmanager
def watched(transformer: Any) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Within, the list gets queries and keys of the sound's attention to text, from the second block on."""
    seen: list[tuple[Tensor, Tensor]] = []
    waiting: list[Tensor] = []

    def query(module: Any, given: Any, made: Tensor) -> None:
        waiting.append(made)

    def key(module: Any, given: Any, made: Tensor) -> None:
        seen.append((waiting.pop(), made))

    hooks = []
    for block in list(transformer.transformer_blocks)[_FIRST_BLOCK:]:
        hooks += [
            block.audio_attn2.norm_q.register_forward_hook(query),
            block.audio_attn2.norm_k.register_forward_hook(key),
        ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
