"""Euler steps of the rectified flow in sigma, in float32 whatever the network computes in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def euler_step(x: Tensor, velocity: Tensor, sigma: Tensor, after: Tensor) -> Tensor:
    """``x`` at ``after``: ``x + (after - sigma) v``; exact where the velocity is constant, as on a straight path."""
    return x + (after - sigma).to(x.device, torch.float32) * velocity.to(torch.float32)


def guided(asked: Tensor, avoided: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: ``avoided + scale (asked - avoided)``; 1 is ``asked`` itself."""
    return avoided + scale * (asked - avoided)


def noise_like(sources: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Standard normal numbers, float32 ``[B, ...]``, on ``like``'s device.

    Every item draws from a CPU generator of its own: its noise hangs on its seed and size alone, not on its
    neighbours or the device.
    """
    drawn = [torch.randn(like.shape[1:], generator=one, dtype=torch.float32) for one in sources]
    return torch.stack(drawn).to(like.device)
