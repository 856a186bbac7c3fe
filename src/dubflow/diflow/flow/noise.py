"""Random numbers that belong to an item, not to its batch.

Each item draws from a generator of its own exactly as many numbers as it has positions, on the CPU and in float64. What
an item draws therefore depends on its seed and length only: not on its neighbours, its place in the batch, the padding
or the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dubflow.errors import WrongUse
from dubflow.training.seeds import generators, seed_of

__all__ = ["generators", "seed_of", "uniform", "uniform_each"]


def uniform(sources: Sequence[torch.Generator], books: int, lengths: Sequence[int]) -> Tensor:
    """Uniform numbers in [0, 1), float64 ``[B, books, max(lengths)]``, zero beyond each item's length.

    Args:
        sources: ``B`` CPU generators; each advances by ``books * length`` draws.
        books: parallel token streams of an item.
        lengths: ``B`` lengths.

    Raises:
        WrongUse: ``diflow.bad_lengths`` when lengths are missing, negative, or not one a generator.
    """
    if len(sources) != len(lengths) or not lengths or min(lengths) < 0:
        raise WrongUse(
            "diflow.bad_lengths", f"{len(sources)} generators cannot draw for items of lengths {list(lengths)}."
        )
    drawn = torch.zeros(len(lengths), books, max(lengths), dtype=torch.float64)
    for item, (source, length) in enumerate(zip(sources, lengths, strict=True)):
        drawn[item, :, :length] = torch.rand(books, length, generator=source, dtype=torch.float64)
    return drawn


def uniform_each(sources: Sequence[torch.Generator]) -> Tensor:
    """One uniform number in [0, 1) an item, float64 ``[B]``."""
    return torch.stack([torch.rand((), generator=source, dtype=torch.float64) for source in sources])
