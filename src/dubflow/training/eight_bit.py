"""Weights in eight bits: whole numbers with a scale for each row, a quarter of float32.

The scale of ``NAME`` lies beside it as ``NAME_scale``, where published 8-bit checkpoints have theirs. A row's largest
number is 127 steps, so no number moves by more than half a step; small tensors and vectors stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

Kept = TypeVar("Kept")

SCALE = "_scale"
"""What a scale's name ends with."""
STEPS = 127
LEAST = 4096
"""Smaller tensors would save nothing."""


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Large matrices and filters ``[R, ...]`` as int8 with scales ``[R, 1, ...]`` (float32); the rest as it is."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or tensor.numel() < LEAST or not tensor.is_floating_point():
            found[name] = tensor
            continue
        rows = tensor.detach().float()
        largest = rows.abs().amax(dim=tuple(range(1, rows.ndim)), keepdim=True)
        scale = torch.where(largest > 0, largest / STEPS, torch.ones_like(largest))
        found[name] = (rows / scale).round().to(torch.int8)
        found[f"{name}{SCALE}"] = scale
    return found


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What :func:`packed` was given, rounded, the packed ones in float32."""
    return {
        name: multiplied(tensor, tensors[f"{name}{SCALE}"]) if f"{name}{SCALE}" in tensors else tensor
        for name, tensor in without_scales(tensors).items()
    }


def without_scales(tensors: Mapping[str, Kept]) -> dict[str, Kept]:
    """All but the scales of others: what a network has, by the names that it has there."""
    scales = {f"{name}{SCALE}" for name in tensors}
    return {name: one for name, one in tensors.items() if name not in scales}


def multiplied(tensor: Tensor, scale: Tensor) -> Tensor:
    """8-bit weights times their scale, which is one number or one a row, in float32."""
    return tensor.float() * scale.float()
