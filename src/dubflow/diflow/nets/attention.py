"""Attention over an item's own positions.

Letters: B batch, T queries, K keys, D channels, H heads. Key masks are boolean and go through scaled dot-product
attention or a softmax over minus infinity, so a padded key has weight exactly 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from dubflow.diflow.nets.positions import Rotation


class SelfAttention(nn.Module):
    """Multi-head self-attention; ``[B, T, D]`` to ``[B, T, D]``."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, inside: Tensor | None, rotation: Rotation | None = None) -> Tensor:
        """``inside`` ``[B, T]``: keys that exist, None when all do. ``rotation`` turns queries and keys (RoPE)."""
        query, key, value = (split_heads(part, self.heads) for part in self.inputs(x).chunk(3, dim=-1))
        if rotation is not None:
            query, key = rotation.turn(query), rotation.turn(key)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=_key_mask(inside), dropout_p=self.dropout if self.training else 0.0
        )
        answer: Tensor = self.output(join_heads(mixed))
        return answer


class AttentionMap(NamedTuple):
    """What every head of a cross-attention looked at: ``[B, H, T, K]`` each; padded keys have weight 0."""

    weights: Tensor
    logits: Tensor


class CrossAttention(nn.Module):
    """Multi-head attention from one sequence to another, with its map in the open."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.memory = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        memory_inside: Tensor,
        reweigh: Callable[[AttentionMap], Tensor] | None = None,
    ) -> tuple[Tensor, AttentionMap]:
        """Queries ``x`` ``[B, T, D]`` look at ``memory`` ``[B, K, D]``: the answer ``[B, T, D]`` and its map.

        ``reweigh`` makes of the map the weights ``[B, T, K]`` that all heads use instead of their own.
        """
        query = split_heads(self.query(x), self.heads)
        key, value = (split_heads(part, self.heads) for part in self.memory(memory).chunk(2, dim=-1))
        logits = (query @ key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5
        weights = logits.masked_fill(~memory_inside[:, None, None, :], -torch.inf).softmax(dim=-1)
        if reweigh is not None:
            weights = reweigh(AttentionMap(weights, logits)).unsqueeze(1).expand_as(weights)
        answer: Tensor = self.output(join_heads(self.dropout(weights).to(value.dtype) @ value))
        return answer, AttentionMap(weights, logits)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """``[B, T, D]`` to ``[B, heads, T, D / heads]``."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """``[B, heads, T, D / heads]`` to ``[B, T, D]``."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


def _key_mask(inside: Tensor | None) -> Tensor | None:
    return None if inside is None else inside[:, None, None, :]
