"""AdamW and its schedule, as Lightning's ``configure_optimizers`` answers; and the schedule that trainings share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

from dubflow.training.settings import RunSettings


def adamw(
    groups: Iterable[dict[str, Any]], settings: RunSettings, share: Callable[[int], float], *, fused: bool = False
) -> dict[str, Any]:
    """AdamW over ``groups`` (``params``, ``lr``), each at its rate times ``share(step)``, steps counted from 0.

    Args:
        fused: one kernel for all weights: the same to rounding, repeated bit by bit, and quicker where weights are many
            and small.
    """
    adam = torch.optim.AdamW(groups, betas=settings.betas, weight_decay=settings.weight_decay, fused=fused or None)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, share)
    return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warmup_and_cosine(step: int, steps: int, warmup_share: float, final_share: float) -> float:
    """The share of its rate that a group has in step ``step``, counted from 0.

    It rises in a line over the first ``warmup_share`` of all steps, reaching 1 at their end, and then falls along half
    a cosine to ``final_share`` at the last step.
    """
    warmup = round(warmup_share * steps)
    if step < warmup:
        return (step + 1) / warmup
    along = min(1.0, (step - warmup) / max(1, steps - 1 - warmup))
    return final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * along))
