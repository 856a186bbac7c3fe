r"""What the public first stage computes in another form, as weights of ours: the same function, up to rounding.

==================================== ==================================================================
theirs                               ours
==================================== ==================================================================
normalisation with weights w, b      w and b inside the adaptive shift and scale: scale' = w (1 + scale) - 1,
before the adaptive one              shift' = shift + b (1 + scale)
a vector added to each kind of       a constant of the joined input, since each kind's streams have fixed places:
stream (segment embedding)           part of the join's bias
attention without an output line     an output line that is the identity
``x + P entry`` after the blocks     the line ``[I, P]`` over ``[x; entry]``
last normalisation with an epsilon   the same input times the square root of 10, which the normalisation takes off
of 1e-6 instead of 1e-5              again, all but the epsilon
logits by one line W                 an MLP with the line inside: for SiLU as for GELU, f(x) - f(-x) = x,
                                     so ``[W, -W] f([I; -I] x) = W x``
positions as sin, cos, sin, cos ...  the same channels in another order: first the sines, then the cosines
==================================== ==================================================================

All in float64. Letters: D width, V codes.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILONS = 10.0
"""Our last normalisation's epsilon over theirs."""


def adaptive(line: Tensor, bias: Tensor, norms: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Adaptive lines with normalisations inside.

    Args:
        line: ``[3 D x len(norms), D]``, for each normalisation shift, scale and gate.
        bias: its bias.
        norms: weight and bias ``[D]`` of each.
    """
    parts, biases = [], []
    for (weight, offset), rows, row_biases in zip(
        norms, line.double().chunk(len(norms)), bias.double().chunk(len(norms)), strict=True
    ):
        w, b = weight.double(), offset.double()
        shift, scale, gate = rows.chunk(3)
        shift0, scale0, gate0 = row_biases.chunk(3)
        parts += [shift + b[:, None] * scale, w[:, None] * scale, gate]
        biases += [shift0 + b * scale0 + b, w * scale0 + w - 1, gate0]
    return torch.cat(parts), torch.cat(biases)


def joined_bias(line: Tensor, bias: Tensor, segments: Tensor, ids: Tensor) -> Tensor:
    """The join's bias ``[D]`` with the segment of each stream inside: ``segments[ids]`` laid side by side."""
    return bias.double() + line.double() @ segments.double()[ids].flatten()


def long_skip(line: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """``x + P entry + p`` as a line over ``[x; entry]``, times what the epsilon of the last normalisation asks for."""
    gain = EPSILONS**0.5
    together = torch.cat([torch.eye(len(line), dtype=torch.float64), line.double()], dim=1)
    return gain * together, gain * bias.double()


def line_as_mlp(line: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """An MLP of twice the width that is the line ``[V, D]``; names as in ``nn.Sequential``."""
    eye, weight = torch.eye(line.shape[1], dtype=torch.float64), line.double()
    return {
        "0.weight": torch.cat([eye, -eye]),
        "0.bias": torch.zeros(2 * line.shape[1], dtype=torch.float64),
        "2.weight": torch.cat([weight, -weight], dim=1),
        "2.bias": bias.double(),
    }


def channel_order(width: int) -> Tensor:
    """Which of their channels each of ours is: the even ones (sines), then the odd ones (cosines)."""
    return torch.cat([torch.arange(0, width, 2), torch.arange(1, width, 2)])


def interleaved_positions(count: int, width: int) -> Tensor:
    """Their table of positions, float64 ``[count, width]``: sine and cosine of each frequency beside one another."""
    frequencies = 10_000.0 ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(count, dtype=torch.float64).unsqueeze(-1) * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
