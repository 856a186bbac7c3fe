"""Padding and grids: which positions are an item's own, and which phoneme owns a frame or a token.

Letters: B batch, N phonemes, T units of any grid (frames F or tokens L), D channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dubflow.errors import WrongUse


def inside_of(lengths: Tensor, longest: int) -> Tensor:
    """``[B, longest]``, true within each item's length; ``lengths`` is ``[B]``."""
    return torch.arange(longest, device=lengths.device) < lengths.unsqueeze(-1)


def check_lengths(lengths: Tensor, sequence: Tensor) -> None:
    """Refuse lengths ``[B]`` that do not belong to ``sequence`` ``[B, T, ...]``.

    Raises:
        WrongUse: ``diflow.bad_lengths``.
    """
    if lengths.shape != sequence.shape[:1] or int(lengths.min()) < 1 or int(lengths.max()) > sequence.shape[1]:
        raise WrongUse(
            "diflow.bad_lengths",
            f"Lengths {lengths.tolist()} do not belong to a batch of shape {list(sequence.shape)}.",
        )


def masked_mean(sequence: Tensor, inside: Tensor) -> Tensor:
    """Mean over each item's own positions, ``[B, D]`` from ``[B, T, D]``."""
    total = (sequence * inside.unsqueeze(-1)).sum(dim=1)
    return total / inside.sum(dim=1, keepdim=True).clamp(min=1)


def owners(durations: Tensor, longest: int) -> Tensor:
    """Index of the phoneme that owns each unit, integers ``[B, longest]``; beyond the end the last phoneme's.

    Args:
        durations: units of each phoneme, integers ``[B, N]``; 0 for padding and for phonemes too short for a unit.
    """
    ends = durations.cumsum(dim=1)
    units = torch.arange(longest, device=durations.device).expand(durations.shape[0], -1).contiguous()
    return torch.searchsorted(ends, units, right=True).clamp(max=durations.shape[1] - 1)


def regulate(phonemes: Tensor, durations: Tensor, longest: int) -> Tensor:
    """The length regulator: each phoneme's vector repeated for its duration, ``[B, longest, D]``, zero beyond.

    DiFlowDubber, B.2.1 (after FastSpeech): stretches text to the grid of speech; section 3.4.2 uses the same to stretch
    it to frames.

    Args:
        phonemes: ``[B, N, D]``.
        durations: integers ``[B, N]``, 0 for padding.
    """
    index = owners(durations, longest).unsqueeze(-1).expand(-1, -1, phonemes.shape[-1])
    inside = inside_of(durations.sum(dim=1), longest)
    return phonemes.gather(1, index) * inside.unsqueeze(-1)


def alignment_matrix(durations: Tensor, longest: int) -> Tensor:
    """M of Eq. 2 and 4: boolean ``[B, T, N]``, true where unit i belongs to phoneme j.

    Built from whole durations ``[B, N]`` whose sums are the items' lengths, so every unit has exactly one phoneme; a
    phoneme of duration 0 has none.
    """
    own = owners(durations, longest).unsqueeze(-1) == torch.arange(durations.shape[1], device=durations.device)
    return own & inside_of(durations.sum(dim=1), longest).unsqueeze(-1)
