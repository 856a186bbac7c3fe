r"""Attention that stays or steps: a monotonic map made from a soft one, for evaluation.

The paper names monotonic multi-head attention (B.2.2) and leaves its form open; the nearest public code trains plain
softmax attention, and so do we. The option ``stepwise`` forces monotonicity afterwards, after He et al., "Robust
Sequence-to-Sequence Acoustic Modeling with Stepwise Monotonic Attention for Neural TTS": from one unit to the next
attention stays at its phoneme or moves to the following one, starting at the first. Softmax weights w decide between
the two,

.. math::
    p_{ij} = \frac{w_{ij}}{w_{ij} + w_{i,j+1}}, \qquad
    \alpha_{ij} = \alpha_{i-1,j}\, p_{ij} + \alpha_{i-1,j-1}\, (1 - p_{i,j-1}), \qquad \alpha_{0j} = [j = 0]

with :math:`p = 1` at the last phoneme. ``expected`` is alpha; ``hard`` is the single best path, which MAS finds, and
which ends at the last phoneme (with more phonemes than units it has to step over some).

Letters: B batch, T units (frames or tokens), N phonemes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dubflow.diflow.nets.grid import alignment_matrix
from dubflow.diflow.nets.monotonic import log_weights, monotonic_search

_LEAST = 1e-12


def expected_alignment(weights: Tensor, phonemes: Tensor) -> Tensor:
    """Alpha of all units, ``[B, T, N]``: each row sums to 1 over an item's own phonemes.

    Args:
        weights: softmax weights ``[B, T, N]``, 0 for padded phonemes.
        phonemes: N of each item, integers ``[B]``.
    """
    floored = weights.double().clamp(min=_LEAST)
    stay = floored / (floored + floored.roll(-1, dims=2))
    columns = torch.arange(weights.shape[2], device=weights.device)
    stay = stay.masked_fill(columns >= (phonemes - 1)[:, None, None], 1.0)
    rows = [(columns == 0).double().expand(len(weights), -1)]
    for unit in range(1, weights.shape[1]):
        stays = rows[-1] * stay[:, unit]
        steps = rows[-1] - stays
        rows.append(stays + torch.cat([torch.zeros_like(steps[:, :1]), steps[:, :-1]], dim=1))
    return torch.stack(rows, dim=1).to(weights.dtype)


def hard_alignment(weights: Tensor, units: Tensor, phonemes: Tensor) -> Tensor:
    """The best path as weights of 0 and 1, ``[B, T, N]``, zero beyond each item's ``units`` ``[B]``."""
    durations = monotonic_search(log_weights(weights), units, phonemes).durations
    return alignment_matrix(durations, weights.shape[1]).to(weights.dtype)
