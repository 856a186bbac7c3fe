"""Which of torch's kernels computes attention in a training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


def quick_attention(device: torch.device) -> AbstractContextManager[None]:
    """On a processor, attention written out: its backward pass through the fused kernel is several times slower.

    It holds a matrix of queries by keys a head, so it is meant for the short sequences that a processor can train on.
    Blocks that are computed again in the backward pass must be run within this as well.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
