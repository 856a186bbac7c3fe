r"""The Discrete Flow-based Prosody-Acoustic denoiser (DFPA): the posterior p(x_1 | x_t, c) of Eq. 1.

DiFlowDubber, 3.3, 3.4.4 and B.2.1. Condition and target are laid behind one another in time and their S streams beside
one another in channels,

.. math::
    e_t = [E_p(x_{p,t}); \tilde h_c; E_a(x_{a,t})], \qquad
    e = [e_{cond}; e_t] \in \mathbb R^{S \times (R + L) \times D}, \qquad
    x = W\,\mathrm{perm}(e) + b

then go through a Diffusion Transformer under c_g = time + speaker, with a long skip from its input to its output; the
condition's part is dropped and an MLP a kind of book gives the logits.

W acts on S blocks of channels one by one. What does not change over the steps of a sample (condition, content, speaker,
rotations) is therefore summed up once in a :class:`Context`; and W E(x) is a table look-up followed by a fixed line, so
with more tokens than codes the line is applied to the table. :meth:`FlowDenoiser.bound` gives the samplers a form that
computes no more than they ask for (``fast``).

Letters: B batch, R condition tokens, L target tokens, T = R + L, S = m + n + k streams, D width, V codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from dubflow.diflow.nets.dit import AdaptiveNorm, DitBlock, TimeEmbedding, two_lines
from dubflow.diflow.nets.fast import BoundDenoiser, Precision
from dubflow.diflow.nets.grid import check_lengths, inside_of
from dubflow.diflow.nets.positions import Rotation, rotation
from dubflow.diflow.nets.prompt import Condition, TokenEmbedders
from dubflow.diflow.nets.settings import NetSettings
from dubflow.errors import WrongUse


@dataclass(frozen=True)
class Context:
    """All that stays the same over the steps of a sample.

    Attributes:
        condition: joined condition ``[B, R, D]``.
        target: joined content part of the target and bias ``[B, L, D]``.
        speaker: embedded speaker ``[B, D]``.
        inside: ``[B, R + L]``, or None when nothing is padding.
        rotation: rotary positions of the R + L.
    """

    condition: Tensor
    target: Tensor
    speaker: Tensor
    inside: Tensor | None
    rotation: Rotation


class FlowDenoiser(nn.Module):
    """DFPA: logits ``[B, m + k, L, V]`` of the target codes; no column for pad or mask."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.books, self.shape = settings.books, settings.denoiser
        width = settings.denoiser.width
        self.embedders = TokenEmbedders(settings)
        self.join = nn.Linear(settings.books.streams * width, width)
        self.time = TimeEmbedding(settings.denoiser)
        self.speaker = two_lines(settings.speaker, width, width)
        self.blocks = nn.ModuleList(DitBlock(settings.denoiser) for _ in range(settings.denoiser.layers))
        self.skip = nn.Linear(2 * width, width)
        self.final = AdaptiveNorm(width, 2)
        self.final_line = nn.Linear(width, settings.books.flow * width)
        inner = settings.denoiser.head_width or width
        self.prosody_head = two_lines(width, inner, settings.books.codes)
        self.acoustic_head = two_lines(width, inner, settings.books.codes)

    def prepare(self, condition: Condition, content: Tensor, lengths: Tensor, speaker: Tensor) -> Context:
        """Everything that the steps share.

        Args:
            condition: what lies in front of the target.
            content: latent content ``[B, n, L, D]``.
            lengths: target tokens of each item, integers ``[B]``.
            speaker: the codec's speaker vectors ``[B, D_s]``.

        Raises:
            WrongUse: ``diflow.bad_lengths``, ``diflow.bad_shapes``.
        """
        check_lengths(lengths, content.transpose(1, 2))
        self._check_streams(condition, content)
        m, n = self.books.prosody, self.books.content
        joined = self._joined(condition.prosody, 0) + self.join.bias
        if condition.acoustic is not None:
            joined = joined + self._joined(condition.acoustic, m + n)

        inside = torch.cat([condition.inside, inside_of(lengths, content.shape[2])], dim=1)
        return Context(
            condition=joined,
            target=self._joined(content, m) + self.join.bias,
            speaker=self.speaker(speaker),
            inside=None if bool(inside.all()) else inside,
            rotation=rotation(self._positions(condition, content.shape[2]), self.shape.width // self.shape.heads),
        )

    def forward(self, tokens: Tensor, t: Tensor, context: Context) -> Tensor:
        """Logits ``[B, m + k, L, V]`` for ``x_t`` ``[B, m + k, L]`` (prosody books first) at times ``[B]``."""
        looked_up = torch.stack(list(self._looked_up(tokens))).sum(dim=0)
        entry = torch.cat([context.condition, context.target + looked_up], dim=1)

        cause = self.time(t) + context.speaker
        x = entry
        for block in self.blocks:
            x = block(x, cause, context.inside, context.rotation)
        x = self.skip(torch.cat([x, entry], dim=-1))[:, context.condition.shape[1] :]

        shift, scale = self.final(cause)
        x = self.final_line(self.final.modulate(x, shift, scale))
        x = x.reshape(*x.shape[:2], self.books.flow, self.shape.width).transpose(1, 2)
        m = self.books.prosody
        return torch.cat([self.prosody_head(x[:, :m]), self.acoustic_head(x[:, m:])], dim=1)

    def bound(self, context: Context, precision: Precision = "weights") -> BoundDenoiser:
        """The denoiser with its conditioning inside, as the samplers take it; ``precision`` of its matrix products."""
        return BoundDenoiser(self, context, precision)

    def tables_of_books(self) -> list[tuple[Tensor, Tensor]]:
        """E and W_q of each generated book: ``[V + 2, D]`` and ``[D, D]``."""
        m, n, k, width = self.books.prosody, self.books.content, self.books.acoustic, self.shape.width
        streams = [(q, self.embedders.prosody) for q in range(m)]
        streams += [(m + n + q, self.embedders.acoustic) for q in range(k)]
        return [(table.weight, self.join.weight[:, q * width : (q + 1) * width]) for q, table in streams]

    def _joined(self, streams: Tensor, first: int) -> Tensor:
        """``W e`` of streams ``first ...`` alone, without bias: ``[B, q, T, D]`` to ``[B, T, D]``."""
        width = self.shape.width
        weight = self.join.weight[:, first * width : (first + streams.shape[1]) * width]
        side_by_side = streams.transpose(1, 2).flatten(2)
        return functional.linear(side_by_side, weight)

    def _looked_up(self, tokens: Tensor) -> Iterator[Tensor]:
        """``W_q E(x_q)`` of each generated book, ``[B, L, D]``."""
        for own, (table, weight) in zip(tokens.unbind(dim=1), self.tables_of_books(), strict=True):
            if own.numel() > len(table):
                yield functional.embedding(own, functional.linear(table, weight))
            else:
                yield functional.linear(functional.embedding(own, table), weight)

    def _positions(self, condition: Condition, longest: int) -> Tensor:
        """Rotary positions ``[B, R + L]``: the target follows its own item's condition, not the batch's longest."""
        steps = torch.arange(condition.prosody.shape[2], device=condition.lengths.device)
        target = torch.arange(longest, device=condition.lengths.device).expand(condition.lengths.shape[0], -1)
        if self.shape.positions == "concatenated":
            target = target + condition.lengths.unsqueeze(-1)
        elif condition.ahead is not None:
            steps = steps - condition.ahead.unsqueeze(-1)  # prior and target meet, the reference lies before both
        return torch.cat([steps.expand(condition.lengths.shape[0], -1), target], dim=1)

    def _check_streams(self, condition: Condition, content: Tensor) -> None:
        books = (condition.prosody.shape[1], content.shape[1])
        acoustic = self.books.acoustic if condition.acoustic is None else condition.acoustic.shape[1]
        if (*books, acoustic) != (self.books.prosody, self.books.content, self.books.acoustic):
            raise WrongUse(
                "diflow.bad_shapes",
                f"Prosody, content and acoustic streams are {(*books, acoustic)}; this network has "
                f"{(self.books.prosody, self.books.content, self.books.acoustic)}.",
            )
