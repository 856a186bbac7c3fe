"""What happens beside the steps of a LoRA's training, apart from log and checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from dubflow.incontext.adapter.lora import lora_weights
from dubflow.incontext.training.module import LoraModule
from dubflow.training.callbacks import EveryStep, at_rest
from dubflow.training.sharding import is_sharded, whole


class Validation(EveryStep):
    """Every so many steps, and at the end: whatever ``validate`` does with the module, the step, and whether this
    process writes.

    It draws no number that training draws, so that a run with other validations gives the same weights. Where weights
    are in shards, all processes validate; else the first alone, and the others wait for it at the next step.
    """

    def __init__(self, every: int, validate: Callable[[LoraModule, int, bool], None]) -> None:
        self.every, self.validate = every, validate

    def stepped(self, trainer: lightning.Trainer, module: Any, step: int) -> None:
        """Validate."""
        if step % self.every and step != trainer.max_steps:
            return
        if trainer.is_global_zero or is_sharded(module.transformer):
            with torch.random.fork_rng(), at_rest(module.transformer):
                self.validate(module, step, trainer.is_global_zero)


class LoraResult(Callback):
    """The LoRA at the end, put together where it was in shards.

    Attributes:
        weights: as :func:`dubflow.incontext.adapter.lora.lora_weights` names them; None before the end.
    """

    weights: dict[str, Tensor] | None = None

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """This is called also where no step was left to do; all processes take part."""
        self.weights = {name: whole(value).cpu() for name, value in lora_weights(pl_module.transformer).items()}
