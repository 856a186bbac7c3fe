r"""What the denoiser is shown in front of its target: the reference speech, or in stage 2 the prosody prior.

DiFlowDubber, B.2.1 and 3.4.4, Contextual Modeling:

.. math::
    \text{stage 1:}\quad e_{cond} = [e^r_p; 0; e^r_a] \in \mathbb R^{(m+n+k) \times L' \times D}, \qquad
    \text{stage 2:}\quad e_{cond} = [\tilde z_p; 0; 0] \in \mathbb R^{(m+n+k) \times L \times D}

The paper's stage 2 has the timbre from a vector alone. The option ``acoustic_prompt`` (not the paper's) puts the
reference's acoustics, and nothing else of it, in front of the prior, behind one another in time:

.. math::
    e_{cond} = \bigl[\, [0; 0; e^r_a],\; [\tilde z_p; 0; 0] \,\bigr]
        \in \mathbb R^{(m+n+k) \times (L' + L) \times D}

so that prior and target are as far from one another as without it.

Letters: B batch, R tokens of the condition (L' or L), S = m + n + k streams, D width. Streams that are zero are
left out of memory and of the sums; :meth:`Condition.dense` gives the equation's own form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dubflow.diflow.flow.noise import uniform_each
from dubflow.diflow.nets.grid import check_lengths, inside_of
from dubflow.diflow.nets.settings import NetSettings
from dubflow.errors import WrongUse


@dataclass(frozen=True)
class Reference:
    """Codec tokens of reference speech, pad beyond each length.

    Attributes:
        prosody: integers ``[B, m, R]``.
        acoustic: integers ``[B, k, R]``.
        lengths: integers ``[B]``, at least 1.
    """

    prosody: Tensor
    acoustic: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class Condition:
    """The streams of ``e_cond`` that are not zero.

    Attributes:
        prosody: ``[B, m, R, D]``.
        acoustic: ``[B, k, R, D]``, or None where the equation has zeros.
        lengths: integers ``[B]``.
        ahead: how many of an item's positions lie in front of the prior, integers ``[B]``; None for none.
    """

    prosody: Tensor
    acoustic: Tensor | None
    lengths: Tensor
    ahead: Tensor | None = None

    @property
    def inside(self) -> Tensor:
        """``[B, R]``."""
        return inside_of(self.lengths, self.prosody.shape[2])

    def dense(self, content: int, acoustic: int) -> Tensor:
        """The whole of ``e_cond``, ``[B, m + n + k, R, D]``, for ``n = content`` and ``k = acoustic``."""
        batch, _, longest, width = self.prosody.shape
        zeros = self.prosody.new_zeros(batch, content, longest, width)
        last = self.prosody.new_zeros(batch, acoustic, longest, width) if self.acoustic is None else self.acoustic
        return torch.cat([self.prosody, zeros, last], dim=1)


class TokenEmbedders(nn.Module):
    """E_p and E_a: one table for prosody, one shared by the k acoustic books (as in the authors' first-stage code).

    The same embedders serve the target and the reference. Rows are codes, pad and mask; pad is zero.
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        book, width = settings.books.vocabulary, settings.denoiser.width
        self.prosody = nn.Embedding(book.embedded, width, padding_idx=book.pad)
        self.acoustic = nn.Embedding(book.embedded, width, padding_idx=book.pad)

    def forward(self, reference: Reference) -> Condition:
        """Stage 1: the condition from reference speech."""
        check_lengths(reference.lengths, reference.prosody.transpose(1, 2))
        return Condition(self.prosody(reference.prosody), self.acoustic(reference.acoustic), reference.lengths)


def prior_condition(prior: Tensor, lengths: Tensor) -> Condition:
    """Stage 2: the condition from the prosody prior ``[B, m, L, D]`` (already projected to the denoiser's width)."""
    return Condition(prior, None, lengths)


def prompted(condition: Condition, acoustic: Tensor, lengths: Tensor) -> Condition:
    """A stage-2 condition behind reference acoustics: ``acoustic`` ``[B, k, R, D]`` with ``lengths`` ``[B]``.

    Each item's own R and L positions stand without a gap, padding behind them.
    """
    prior, longest = condition.prosody, acoustic.shape[2]
    total = lengths + condition.lengths
    steps = torch.arange(int(total.max()), device=lengths.device).expand(len(lengths), -1)
    behind = (longest + steps - lengths.unsqueeze(-1)).clamp(max=longest + prior.shape[2] - 1)
    index = torch.where(steps < lengths.unsqueeze(-1), steps, behind)[:, None, :, None]

    def packed(first: Tensor, second: Tensor) -> Tensor:
        both = torch.cat([first, second], dim=2)
        return both.gather(2, index.expand(-1, both.shape[1], -1, both.shape[3]))

    return Condition(
        prosody=packed(prior.new_zeros(*prior.shape[:2], longest, prior.shape[3]), prior),
        acoustic=packed(acoustic, acoustic.new_zeros(*acoustic.shape[:2], prior.shape[2], acoustic.shape[3])),
        lengths=total,
        ahead=lengths,
    )


def no_condition(content: Tensor, books: int) -> Condition:
    """Stage 2 without FaPro: nothing lies in front of the target, R = 0.

    An ``e_cond`` of L times zero would say no more and double the sequence.

    Args:
        content: ``[B, n, L, D]``; gives batch, width, type and device.
        books: m.
    """
    batch, _, _, width = content.shape
    return Condition(
        content.new_zeros(batch, books, 0, width), None, torch.zeros(batch, dtype=torch.int64, device=content.device)
    )


def crop_reference(tokens: Reference, sources: Sequence[torch.Generator], *, pad: int, share: float = 0.3) -> Reference:
    """A random stretch of each item, ``share`` of its length (at least one token), for training on single utterances.

    The share of 0.3 is that of the authors' first-stage code. Each item draws one number from its own generator.

    Raises:
        WrongUse: ``diflow.bad_share`` outside 0..1, ``diflow.bad_lengths`` without a generator for each item.
    """
    if not 0 < share <= 1:
        raise WrongUse("diflow.bad_share", f"A reference cannot be {share} of its utterance.")
    if len(sources) != tokens.lengths.shape[0]:
        raise WrongUse("diflow.bad_lengths", f"{len(sources)} generators do not serve {len(tokens.lengths)} items.")
    device = tokens.lengths.device
    kept = (tokens.lengths * share).round().long().clamp(min=1)
    starts = (uniform_each(sources).to(device) * (tokens.lengths - kept + 1)).floor().long()
    longest = int(kept.max())
    inside = inside_of(kept, longest).unsqueeze(1)
    index = (starts.unsqueeze(-1) + torch.arange(longest, device=device)).clamp(max=tokens.prosody.shape[-1] - 1)

    def cut(codes: Tensor) -> Tensor:
        return codes.gather(2, index.unsqueeze(1).expand(-1, codes.shape[1], -1)).masked_fill(~inside, pad)

    return Reference(cut(tokens.prosody), cut(tokens.acoustic), kept)
