"""Where a position is: sinusoids added to a sequence, and rotations of queries and keys (RoPE).

Letters: B batch, T positions, D channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dubflow.errors import BadInput

_BASE = 10_000.0


def sinusoid(values: Tensor, width: int, *, ends: bool = False) -> Tensor:
    """Sines and cosines of ``values`` ``[...]`` at ``width / 2`` frequencies from 1 to 1/10000: ``[..., width]``.

    Frequencies are a geometric sequence from 1; 1/10000 itself is one of them only with ``ends``.
    """
    half = width // 2
    steps = torch.arange(half, device=values.device, dtype=torch.float32) / (half - 1 if ends else half)
    angles = values.to(torch.float32).unsqueeze(-1) * _BASE**-steps
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def with_positions(sequence: Tensor, max_length: int) -> Tensor:
    """``sequence`` ``[B, T, D]`` plus the sinusoid of each position.

    Raises:
        BadInput: ``diflow.too_long`` beyond ``max_length`` positions, where no model was trained.
    """
    longest = sequence.shape[1]
    if longest > max_length:
        raise BadInput(
            "diflow.too_long",
            f"A sequence of {longest} positions is longer than the {max_length} this model reads.",
            "Dub the clip in segments.",
        )
    return sequence + sinusoid(torch.arange(longest, device=sequence.device), sequence.shape[-1]).to(sequence.dtype)


class Rotation(NamedTuple):
    """Cosines and sines ``[B, 1, T, head / 2]`` that turn queries and keys by their position (RoFormer, Eq. 34)."""

    cos: Tensor
    sin: Tensor

    def turn(self, x: Tensor) -> Tensor:
        """``x`` ``[B, heads, T, head]`` turned; a product of two turned vectors depends on their distance only."""
        first, second = x.float().chunk(2, dim=-1)
        turned = torch.cat([first * self.cos - second * self.sin, second * self.cos + first * self.sin], dim=-1)
        return turned.to(x.dtype)


def rotation(positions: Tensor, head: int) -> Rotation:
    """Rotations for ``positions`` ``[B, T]`` and heads of ``head`` channels."""
    sines, cosines = sinusoid(positions, head).unsqueeze(1).chunk(2, dim=-1)
    return Rotation(cosines, sines)
