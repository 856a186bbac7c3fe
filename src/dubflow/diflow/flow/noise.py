"""Random numbers that belong to an item, not to its batch.

Each item draws from a generator of its own exactly as many numbers as it has positions, on the CPU and in float64. What
an item draws therefore depends on its seed and length only: not on its neighbours, its place in the batch, the padding
or the device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from dubflow.errors import WrongUse


def seed_of(*parts: int | str) -> int:
    """A seed of 63 bits that hangs on every part and on nothing else: not on the process, nor on Python's hash."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator a seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


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
