r"""Monotonic Alignment Search (MAS): the best way to give every unit of time to a phoneme, in order.

DiFlowDubber, 3.4.2, after Glow-TTS (Kim et al., Eq. 11): with values v over units i and phonemes j,

.. math:: Q_{i,j} = v_{i,j} + \max(Q_{i-1,j},\; Q_{i-1,j-1})

from the first phoneme at the first unit to the last at the last; each phoneme gets at least one unit. With more
phonemes than units that is impossible; the relaxed search then lets phonemes go without a unit,

.. math:: Q_{i,j} = v_{i,j} + \max_{j' \le j} Q_{i-1,j'} .

Letters: B batch, T units (frames or tokens), N phonemes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dubflow.diflow.nets.grid import inside_of
from dubflow.errors import BadInput

_LEAST = 1e-12


@dataclass(frozen=True)
class MonotonicAlignment:
    """Durations ``[B, N]`` that sum to each item's units, and which items ``[B]`` had more phonemes than units."""

    durations: Tensor
    relaxed: Tensor


def log_weights(weights: Tensor) -> Tensor:
    """Attention weights as the search wants them: logarithms, with a floor instead of minus infinity."""
    return weights.double().clamp(min=_LEAST).log()


@torch.no_grad()
def monotonic_search(
    values: Tensor, units: Tensor, phonemes: Tensor, *, crowded: Literal["relax", "reject"] = "relax"
) -> MonotonicAlignment:
    """The alignment with the greatest sum of values.

    Args:
        values: finite floats ``[B, T, N]``, for example log attention weights; padding is not read.
        units: T of each item, integers ``[B]``, at least 1.
        phonemes: N of each item, integers ``[B]``, at least 1.
        crowded: what to do with an item that has more phonemes than units.

    Raises:
        BadInput: ``diflow.more_phones_than_units`` when ``crowded`` is ``"reject"``.
    """
    relaxed = phonemes > units
    if crowded == "reject" and bool(relaxed.any()):
        item = int(relaxed.nonzero()[0])
        raise BadInput(
            "diflow.more_phones_than_units",
            f"Item {item} has {int(phonemes[item])} phonemes and only {int(units[item])} frames to say them in.",
            "Shorten the text, or let phonemes share frames: crowded='relax'.",
            item=item,
        )
    steps, best = _forward(values.double(), phonemes, relaxed)
    return MonotonicAlignment(_backward(steps, best, units, phonemes, relaxed), relaxed)


def _forward(values: Tensor, phonemes: Tensor, relaxed: Tensor) -> tuple[Tensor, Tensor]:
    """The phoneme before each (unit, phoneme) on its best path, and each row's best values; both ``[B, T, N]``."""
    batch, longest, width = values.shape
    columns = torch.arange(width, device=values.device).expand(batch, -1)
    outside = ~inside_of(phonemes, width)
    # A path starts at the first phoneme; a relaxed one at any.
    started = values[:, 0].masked_fill(outside | ((columns > 0) & ~relaxed.unsqueeze(-1)), -torch.inf)
    steps, rows = [columns], [started]
    for unit in range(1, longest):
        before = rows[-1]
        moved = before.roll(1, dims=1)
        moved[:, 0] = -torch.inf
        climbs = moved > before
        any_value, any_source = before.cummax(dim=1)
        source = torch.where(relaxed.unsqueeze(-1), any_source, columns - climbs.long())
        reached = torch.where(relaxed.unsqueeze(-1), any_value, torch.where(climbs, moved, before))
        rows.append((reached + values[:, unit]).masked_fill(outside, -torch.inf))
        steps.append(source)
    return torch.stack(steps, dim=1), torch.stack(rows, dim=1)


def _backward(steps: Tensor, best: Tensor, units: Tensor, phonemes: Tensor, relaxed: Tensor) -> Tensor:
    """Durations ``[B, N]`` along the path that ends at each item's last unit."""
    batch, longest, width = steps.shape
    last_rows = best[torch.arange(batch, device=best.device), units - 1]
    place = torch.where(relaxed, last_rows.argmax(dim=1), phonemes - 1).unsqueeze(-1)
    durations = torch.zeros(batch, width, dtype=torch.int64, device=steps.device)
    for unit in range(longest - 1, -1, -1):
        own = (unit < units).unsqueeze(-1)
        durations.scatter_add_(1, place, own.long())
        place = torch.where(own, steps[:, unit].gather(1, place), place)
    return durations
