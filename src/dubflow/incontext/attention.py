"""Attention of LTX-2 with roles: a processor of our own in diffusers' blocks.

Without a layout it computes what diffusers' processors compute, bit for bit: normalised queries and keys, rotary
positions (split or interleaved), gates per head (2.3), perturbed values. With one it computes each allowed block
through torch's scaled_dot_product_attention under a boolean mask that is broadcast over heads, never
written out per head.

The layout of a call is found by the processors in one :class:`ContextState` a transformer. Where blocks are recomputed
for the backward pass (gradient checkpointing), they find the layout of *their* forward pass again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from diffusers.models.transformers.transformer_ltx2 import apply_interleaved_rotary_emb, apply_split_rotary_emb
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from dubflow.incontext.masks import EVERYTHING, Block, Kind, Layout

Rotary = tuple[Tensor, Tensor]

_MODULES: dict[str, Kind | Literal["text"]] = {
    "attn1": "video_self",
    "audio_attn1": "audio_self",
    "audio_to_video_attn": "audio_to_video",
    "video_to_audio_attn": "video_to_audio",
    "attn2": "text",
    "audio_attn2": "text",
}


class KeptReferences(Protocol):
    """Keys and values of the references, layer by layer."""

    def join(self, place: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values ``[B, heads, N, width]`` of self-attention number ``place``, with what is kept of it."""


@dataclass
class ContextState:
    """What the processors of one transformer share.

    Attributes:
        layout: blocks of the current call; None: everything attends to everything.
        references: keys and values kept from an earlier call, or being kept.
    """

    layout: Layout | None = None
    references: KeptReferences | None = None

    @contextmanager
    def using(self, layout: Layout | None, references: KeptReferences | None = None) -> Iterator[None]:
        """Within, the processors follow ``layout``."""
        before = (self.layout, self.references)
        self.layout, self.references = layout, references
        try:
            yield
        finally:
            self.layout, self.references = before


@dataclass(eq=False)
class ContextAttention:
    """The processor of one attention module.

    Attributes:
        kind: whose attention it is.
        state: shared by the transformer's processors.
        place: number of this self-attention among the kept ones.
    """

    kind: Kind | Literal["text"]
    state: ContextState = field(repr=False)
    place: int

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        query_rotary_emb: Rotary | None = None,
        key_rotary_emb: Rotary | None = None,
        perturbation_mask: Tensor | None = None,
        all_perturbed: bool | None = None,
    ) -> Tensor:
        """``[B, Nq, dim]`` for queries ``[B, Nq, dim]`` over ``encoder_hidden_states`` ``[B, Nk, dim']``.

        Args:
            attn: the module with the projections. attention_mask: additive ``[B, 1 or Nq, Nk]``, as diffusers gives it
                for text. perturbation_mask: where 0, values pass without attention (STG).
        """
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if perturbation_mask is not None and (all_perturbed or (all_perturbed is None and not perturbation_mask.any())):
            gates = None if attn.to_gate_logits is None else attn.to_gate_logits(hidden_states)
            return _out(attn, _gated(attn, attn.to_v(context), gates))
        blocks = self._blocks(attention_mask)
        asked, seen = _cover([one.queries for one in blocks]), _cover([one.keys for one in blocks])
        if asked != EVERYTHING and asked.start == asked.stop:
            return _nothing(attn, hidden_states).expand(*hidden_states.shape[:2], -1)  # references alone
        asking, context = hidden_states[:, asked], context[:, seen]

        query, key, value = attn.norm_q(attn.to_q(asking)), attn.norm_k(attn.to_k(context)), attn.to_v(context)
        if query_rotary_emb is not None:
            turn = apply_split_rotary_emb if attn.rope_type == "split" else apply_interleaved_rotary_emb
            query = turn(query, _rows(query_rotary_emb, asked))
            key = turn(key, _rows(key_rotary_emb if key_rotary_emb is not None else query_rotary_emb, seen))
        heads = [one.reshape(*one.shape[:2], attn.heads, -1).transpose(1, 2) for one in (query, key, value)]
        attended = self._attended(heads, blocks, asked, seen)
        if perturbation_mask is not None:
            attended = torch.lerp(value, attended, perturbation_mask)
        gates = None if attn.to_gate_logits is None else attn.to_gate_logits(asking)
        answer = _out(attn, _gated(attn, attended, gates))
        return answer if asked == EVERYTHING else _widened(attn, answer, asked, hidden_states.shape[1])

    def _blocks(self, attention_mask: Tensor | None) -> tuple[Block, ...]:
        if self.kind == "text" or self.state.layout is None:
            mask = None if attention_mask is None else attention_mask[:, None]
            return (Block(EVERYTHING, EVERYTHING, mask),)
        return self.state.layout.blocks[self.kind]

    def _attended(self, heads: list[Tensor], blocks: tuple[Block, ...], asked: slice, seen: slice) -> Tensor:
        """``[B, queries, dim]`` of the covered queries."""
        query, key, value = heads
        if self.state.references is not None and self.kind in ("video_self", "audio_self"):
            key, value = self.state.references.join(self.place, key, value)
        parts = []
        for block in sorted(blocks, key=lambda one: one.queries.start or 0):
            queries, keys = _within(block.queries, asked), _within(block.keys, seen)
            parts.append(
                scaled_dot_product_attention(
                    query[:, :, queries], key[:, :, keys], value[:, :, keys], attn_mask=block.allowed
                )
            )
        whole = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return whole.transpose(1, 2).flatten(2, 3).to(query.dtype)


def installed(transformer: Any) -> ContextState:
    """The state that the processors of an LTX-2 ``transformer`` share; where they are not ours yet, they become so.

    Gradient checkpointing that is on, now or at a later call of this, is made to find each forward pass's own layout.
    """
    first = transformer.transformer_blocks[0].attn1.processor
    if not isinstance(first, ContextAttention):
        fresh = ContextState()
        for number, block in enumerate(transformer.transformer_blocks):
            for name, kind in _MODULES.items():
                place = 2 * number + (kind == "audio_self")
                getattr(block, name).set_processor(ContextAttention(kind, fresh, place))
        first = transformer.transformer_blocks[0].attn1.processor
    state: ContextState = first.state
    if transformer.gradient_checkpointing and not isinstance(transformer._gradient_checkpointing_func, _Recomputed):
        transformer._gradient_checkpointing_func = _Recomputed(state)
    return state


@dataclass(eq=False)
class _Recomputed:
    """Gradient checkpointing of one block under the layout that was current when it first ran."""

    state: ContextState

    def __call__(self, block: Callable[..., Any], *inputs: Any) -> Any:
        layout, references = self.state.layout, self.state.references

        def again(*given: Any) -> Any:
            with self.state.using(layout, references):
                return block(*given)

        return checkpoint(again, *inputs, use_reentrant=False)


def _rows(rotary: Rotary, span: slice) -> Rotary:
    # Tokens are the last but one dimension of both forms: [B, heads, N, half] (split) and [B, N, dim] (interleaved).
    cosine, sine = rotary
    return cosine[..., span, :], sine[..., span, :]


def _cover(spans: list[slice]) -> slice:
    """The smallest span around ``spans``; everything when one of them is."""
    if EVERYTHING in spans:
        return EVERYTHING
    return slice(min(one.start for one in spans), max(one.stop for one in spans))


def _within(span: slice, cover: slice) -> slice:
    if span == EVERYTHING or cover == EVERYTHING:
        return span
    return slice(span.start - cover.start, span.stop - cover.start)


def _gated(attn: Any, attended: Tensor, logits: Tensor | None) -> Tensor:
    if logits is None:
        return attended
    split = attended.reshape(*attended.shape[:2], attn.heads, -1)
    return (split * (2.0 * torch.sigmoid(logits)).unsqueeze(-1)).flatten(2, 3)


def _out(attn: Any, attended: Tensor) -> Tensor:
    projected: nn.Module = attn.to_out[0]
    answer: Tensor = attn.to_out[1](projected(attended))
    return answer


def _nothing(attn: Any, like: Tensor) -> Tensor:
    """What the last projection makes of 0, its bias: ``[1, 1, dim]``."""
    return _out(attn, like.new_zeros(1, 1, attn.inner_dim))


def _widened(attn: Any, answer: Tensor, asked: slice, count: int) -> Tensor:
    """The answer among tokens that attended to nothing."""
    nothing, batch = _nothing(attn, answer), answer.shape[0]
    before, after = asked.start, count - asked.stop
    return torch.cat([nothing.expand(batch, before, -1), answer, nothing.expand(batch, after, -1)], dim=1)
