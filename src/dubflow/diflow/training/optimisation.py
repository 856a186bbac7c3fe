"""AdamW and its schedule: a warm-up in a line, then a cosine or nothing."""

from __future__ import annotations

from typing import Any

from torch import nn

from dubflow.diflow.nets.groups import parameter_groups
from dubflow.diflow.training.settings import TrainSettings
from dubflow.training.optimisation import adamw, warmup_and_cosine


def rate_share(step: int, settings: TrainSettings) -> float:
    """The share of its rate that a group has in step ``step``, counted from 0.

    It rises in a line over the first ``warmup_share`` of all steps, reaching 1 at their end, and then falls along half
    a cosine to ``final_share`` at the last step, or stays.
    """
    final = 1.0 if settings.decay == "constant" else settings.final_share
    return warmup_and_cosine(step, settings.steps, settings.warmup_share, final)


def optimiser(network: nn.Module, settings: TrainSettings) -> dict[str, Any]:
    """AdamW over the groups of ``settings.rates`` and its schedule, as Lightning's ``configure_optimizers`` answers."""
    return adamw(parameter_groups(network, settings.rates), settings, lambda step: rate_share(step, settings))
