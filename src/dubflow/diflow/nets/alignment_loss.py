r"""The contrastive loss that makes attention follow the known alignment.

DiFlowDubber, Eq. 2 (video frames and phonemes) and Eq. 4 (speech tokens and phonemes):

.. math::
    \mathcal L = - \sum_{j=1}^{N} \log \frac{\sum_i m_{ij} e^{a_{ij} / \tau}}{\sum_i e^{a_{ij} / \tau}}
                 - \sum_{i=1}^{T} \log \frac{\sum_j m_{ij} e^{a_{ij} / \tau}}{\sum_j e^{a_{ij} / \tau}}

summed over phonemes and units, averaged over the batch. A phoneme shorter than a unit has no positive and the fraction
would be 0: such rows are left out and counted. What a_ij is (after or before the softmax, which head) and tau are
unsaid; see :class:`~dubflow.diflow.nets.settings.AlignmentSettings`.

Letters: B batch, H heads, T units (frames F or tokens L), N phonemes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubflow.diflow.nets.attention import AttentionMap
from dubflow.diflow.nets.settings import AlignmentSettings


@dataclass(frozen=True)
class AlignmentLoss:
    """The loss, a scalar, and how many phonemes and units had no positive and were left out."""

    value: Tensor
    skipped_phonemes: int
    skipped_units: int


def one_map(attention: AttentionMap, inside: Tensor, settings: AlignmentSettings) -> AttentionMap:
    """The map that stands for all heads, ``[B, T, N]`` each: their mean, or each item's most focused head.

    The focus of a head is the mean over units of its greatest weight (FastSpeech, Eq. 2). ``inside`` is ``[B, T]``.
    """
    if settings.head == "mean":
        return AttentionMap(attention.weights.mean(dim=1), attention.logits.mean(dim=1))
    peaks = attention.weights.amax(dim=-1) * inside.unsqueeze(1)
    head = (peaks.sum(dim=-1) / inside.sum(dim=-1, keepdim=True)).argmax(dim=1)
    items = torch.arange(head.shape[0], device=head.device)
    return AttentionMap(attention.weights[items, head], attention.logits[items, head])


def contrastive_alignment(
    scores: Tensor, matrix: Tensor, units_inside: Tensor, phonemes_inside: Tensor, temperature: float
) -> AlignmentLoss:
    """Eq. 2 and Eq. 4.

    Args:
        scores: a, floats ``[B, T, N]``.
        matrix: m, boolean ``[B, T, N]``: unit i belongs to phoneme j.
        units_inside: ``[B, T]``.
        phonemes_inside: ``[B, N]``.
        temperature: tau.
    """
    real = units_inside.unsqueeze(-1) & phonemes_inside.unsqueeze(1)
    positive = matrix & real
    scaled = scores.float() / temperature
    by_phoneme, skipped_phonemes = _one_direction(scaled, positive, real, dim=1)
    by_unit, skipped_units = _one_direction(scaled, positive, real, dim=2)
    return AlignmentLoss((by_phoneme + by_unit) / scores.shape[0], skipped_phonemes, skipped_units)


def _one_direction(scaled: Tensor, positive: Tensor, real: Tensor, dim: int) -> tuple[Tensor, int]:
    counted = positive.any(dim=dim)
    skipped = int((real.any(dim=dim) & ~counted).sum())
    # A row without a positive would be -inf forwards and NaN backwards: it compares real with real.
    chosen = torch.where(counted.unsqueeze(dim), positive, real)
    hits = _log_sum(scaled, chosen, dim)
    everything = _log_sum(scaled, real, dim)
    return ((everything - hits) * counted).sum(), skipped


def _log_sum(scaled: Tensor, chosen: Tensor, dim: int) -> Tensor:
    """``log sum exp`` over the chosen entries; 0 where a padded row has none."""
    none = ~chosen.any(dim=dim, keepdim=True)
    kept = scaled.masked_fill(~chosen & ~none, -torch.inf).masked_fill(none, 0.0)
    return kept.logsumexp(dim=dim).masked_fill(none.squeeze(dim), 0.0)
