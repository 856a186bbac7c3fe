r"""Noise levels for training: shifted logit-normal.

.. math:: \sigma = \mathrm{sigmoid}(z), \quad z \sim N(\mu(n), 1), \quad
   \mu(n) = 0.95 + (n - 1024) \frac{2.05 - 0.95}{4096 - 1024}

``n`` is the number of target video tokens: more tokens carry the same picture more redundantly, so more noise is
needed to hide it. mu is not clamped: 3,520 tokens give 1.84, 8,160 give 3.51.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from dubflow.config import Strict

_LOWEST, _HIGHEST = -2.5758, 3.0902  # the 0.5th and the 99.9th percentile of N(0, 1)
_SMALLEST = 1e-3


def shift_of(tokens: int) -> float:
    """mu of a clip with ``tokens`` target video tokens; any number, on the line through (1024, 0.95), (4096, 2.05)."""
    return 0.95 + (tokens - 1024) * (2.05 - 0.95) / (4096 - 1024)


class LevelSettings(Strict):
    """How training draws noise levels."""

    stretched: bool = Field(
        False,
        description="Stretch between the 0.5th and 99.9th percentile to all of 0..1, reflect at 0.001 and draw a share "
        "uniformly, as later versions of LTX's trainer do; the released code of the paper does not.",
    )
    uniform_share: float = Field(0.1, ge=0, le=1, description="Share of levels drawn uniformly where stretched.")
    most_tokens: int | None = Field(None, ge=1, description="Count no more tokens than this for the shift.")
    per_modality: bool = Field(False, description="A level of its own for sound; the paper has one for both.")


def draw_levels(
    sources: Sequence[torch.Generator], tokens: int, settings: LevelSettings | None = None
) -> tuple[Tensor, Tensor]:
    """Noise levels of picture and sound, float32 ``[B]`` each, on the CPU.

    Args:
        sources: one CPU generator an item, so that a level hangs on its item alone. tokens: target video tokens.
    """
    settings = settings or LevelSettings()
    mu = shift_of(min(tokens, settings.most_tokens or tokens))
    video = torch.stack([_level(one, mu, settings) for one in sources])
    if not settings.per_modality:
        return video.float(), video.float()
    return video.float(), torch.stack([_level(one, mu, settings) for one in sources]).float()


def _level(source: torch.Generator, mu: float, settings: LevelSettings) -> Tensor:
    def logistic(z: Tensor | float) -> Tensor:
        return torch.sigmoid(torch.as_tensor(z, dtype=torch.float64))

    level = logistic(torch.randn((), generator=source, dtype=torch.float64) + mu)
    if not settings.stretched:
        return level
    low, high = logistic(mu + _LOWEST), logistic(mu + _HIGHEST)
    level = (level - low) / (high - low)
    level = torch.where(level >= _SMALLEST, level, 2 * _SMALLEST - level).clamp(0, 1)
    uniform = _SMALLEST + (1 - _SMALLEST) * torch.rand((), generator=source, dtype=torch.float64)
    is_uniform = torch.rand((), generator=source, dtype=torch.float64) < settings.uniform_share
    return torch.where(is_uniform, uniform, level)
