r"""Noise levels for inference, from 1 down to 0.

``ltx2``: evenly spaced sigmas are shifted by mu at 4,096 tokens,

.. math:: \sigma' = \frac{e^\mu}{e^\mu + 1/\sigma - 1},

and stretched so that the last one above 0 is 0.1. ``distilled``: the eight steps that distilled bases were taught, and
the short tail of them with which a second stage refines.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from dubflow.errors import WrongUse
from dubflow.incontext.flow.levels import shift_of

DISTILLED = (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0)
REFINING = (0.909375, 0.725, 0.421875, 0.0)
CODE_REFINING = (0.725, 0.421875, 0.0)
"""The released code of the paper drops the first level of :data:`REFINING`."""

_TOKENS, _LAST = 4096, 0.1


def ltx2_schedule(steps: int, *, tokens: int = _TOKENS, last: float | None = _LAST) -> Tensor:
    """``steps`` + 1 levels, float32, the first 1 and the last 0.

    Args:
        tokens: of which mu is taken. last: the smallest level above 0 after stretching; None leaves it.

    Raises:
        WrongUse: ``incontext.bad_schedule``.
    """
    if steps < 1 or (last is not None and not 0 < last < 1):
        raise WrongUse("incontext.bad_schedule", f"{steps} steps down to {last} are no schedule.")
    even = torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1]
    shift = math.exp(shift_of(tokens))
    levels = shift / (shift + 1 / even - 1)
    # A single step goes from 1 to 0: there is nothing to stretch.
    if last is not None and steps > 1:
        levels = 1 - (1 - levels) * ((1 - last) / (1 - levels[-1]))
    return torch.cat([levels, levels.new_zeros(1)]).float()


def fixed_schedule(levels: tuple[float, ...]) -> Tensor:
    """Given levels, float32.

    Raises:
        WrongUse: ``incontext.bad_schedule`` unless they fall from at most 1 to 0.
    """
    if len(levels) < 2 or levels[0] > 1 or levels[-1] != 0 or any(a <= b for a, b in pairwise(levels)):
        raise WrongUse(
            "incontext.bad_schedule", f"The levels {list(levels)} do not fall from at most 1 to 0.", "Correct them."
        )
    return torch.tensor(levels, dtype=torch.float32)
