"""Weights of published layouts: numbers that are the same on every machine, under names and shapes that tests spell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

Shapes = Mapping[str, tuple[int, ...]]
NORM = ("weight", "bias", "running_mean", "running_var")


def known_state(shapes: Shapes) -> dict[str, torch.Tensor]:
    """Even noise by a hash of the place, scaled so that signals neither die nor grow from layer to layer."""
    state = {}
    for place, (name, shape) in enumerate(sorted(shapes.items())):
        count = math.prod(shape)
        hashed = (torch.arange(count) * 2654435761 + place * 7919) & 0xFFFFFFFF
        hashed = ((hashed ^ (hashed >> 15)) * 2246822519) & 0xFFFFFFFF
        hashed = ((hashed ^ (hashed >> 13)) * 3266489917) & 0xFFFFFFFF
        noise = (hashed ^ (hashed >> 16)).double() / 2**32 * 2 - 1
        if name.endswith("running_var"):
            noise = 1 + noise / 2
        elif len(shape) > 1:
            noise = noise * (6 * shape[0] / count) ** 0.5
        else:
            noise = noise / 10 + (1 if name.endswith("weight") else 0)
        state[name] = noise.reshape(shape).float()
    return state


def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    """Names of a batch normalisation, as files without the count of updates have them."""
    return {f"{name}.{part}": (channels,) for part in NORM}


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network, without the counts of updates, which judging never reads."""
    state = module.state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith("batches_tracked")}


def saved_empty(shapes: Shapes, path: Path) -> Path:
    """A file as its publisher saves it, of nothing but zeros, which takes no time: for what is refused."""
    torch.save({name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}, path)
    return path
