"""AdamW and its schedule: a warm-up in a line, then a cosine or nothing."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from dubflow.diflow.nets.groups import parameter_groups
from dubflow.diflow.training.settings import TrainSettings


def rate_share(step: int, settings: TrainSettings) -> float:
    """The share of its rate that a group has in step ``step``, counted from 0.

    It rises in a line over the first ``warmup_share`` of all steps, reaching 1 at their end, and then falls along half
    a cosine to ``final_share`` at the last step, or stays.
    """
    warmup = round(settings.warmup_share * settings.steps)
    if step < warmup:
        return (step + 1) / warmup
    if settings.decay == "constant":
        return 1.0
    along = min(1.0, (step - warmup) / max(1, settings.steps - 1 - warmup))
    return settings.final_share + (1 - settings.final_share) * 0.5 * (1 + math.cos(math.pi * along))


def optimiser(network: nn.Module, settings: TrainSettings) -> dict[str, Any]:
    """AdamW over the groups of ``settings.rates`` and its schedule, as Lightning's ``configure_optimizers`` answers."""
    groups = parameter_groups(network, settings.rates)
    adam = torch.optim.AdamW(groups, betas=settings.betas, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: rate_share(step, settings))
    return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
