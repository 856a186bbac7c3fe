"""Random numbers that hang on what they are for, and not on what was drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch


def seed_of(*parts: int | str) -> int:
    """A seed of 63 bits that hangs on every part and on nothing else: not on the process, nor on Python's hash."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator a seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]
