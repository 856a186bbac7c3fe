"""The LoRA in training, as a Lightning module.

Every random number of a step comes from a generator seeded by the run's seed, the batch's number in the plan and the
pair; so a step depends on the weights and its batches, and not on what this process did before, nor on how many
processes share the batches.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lightning
import torch
from torch import Tensor

from dubflow.incontext.adapter.groups import parameter_groups, rates_of
from dubflow.incontext.adapter.lora import lora_parameters
from dubflow.incontext.training.examples import Example, loss_of
from dubflow.incontext.training.loss import LossParts
from dubflow.incontext.training.settings import LoraTraining
from dubflow.training.attention import quick_attention
from dubflow.training.optimisation import adamw
from dubflow.training.sharding import shard
from dubflow.training.steps import clipped, count_batches, moved, must_be_finite


class LoraModule(lightning.LightningModule):
    """A transformer with a LoRA, of which the LoRA alone learns and is saved.

    Attributes:
        transformer: the base with its LoRA.
        parts: of the latest batch, detached; what the log averages.
        gradient: norm of the latest step's gradients, before clipping.
    """

    def __init__(self, transformer: Any, settings: LoraTraining) -> None:
        super().__init__()
        self.strict_loading = False  # a checkpoint has no base in it
        self.transformer = transformer
        self.settings = settings
        self.parts: LossParts | None = None
        self.gradient: Tensor | None = None
        self._in_step: list[str] = []
        self.register_state_dict_post_hook(_lora_alone)  # type: ignore[no-untyped-call]
        if settings.gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        transformer.train()

    def training_step(self, example: Example, index: int) -> Tensor:
        """The loss of one batch.

        Raises:
            OurFault: ``training.loss_not_finite``, in every process when it is so in one.
        """
        with quick_attention(self.device):
            parts = loss_of(self.transformer, example, self.settings)
        total = parts.total
        self._in_step += example.ids
        must_be_finite(total, parts.values, self.global_step, example.ids)
        values = {name: value.detach() for name, value in parts.values.items()}
        self.parts = replace(parts, total=total.detach(), values=values)
        return total

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """As Lightning's; blocks that are computed again find the attention of their forward pass."""
        with quick_attention(self.device):
            super().backward(loss, *args, **kwargs)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to ``clip_norm``, over all processes where the weights are in shards.

        Raises:
            OurFault: ``training.loss_not_finite`` when the gradients are no numbers; the pairs of the step are named.
        """
        trained = [parameter for _, parameter in lora_parameters(self.transformer)]
        self.gradient = clipped(trained, self.settings.clip_norm, self.global_step, self._in_step)
        self._in_step = []

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's count of batches is made that of this run."""
        count_batches(checkpoint, self.settings.accumulate)

    def configure_model(self) -> None:
        """Cut the weights into shards where the strategy is to: block by block, frozen base and LoRA alike."""
        if self.device_mesh is not None:
            shard(self.transformer, self.device_mesh, (type(self.transformer.transformer_blocks[0]),))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Lightning's own way copies and then fills objects, which frozen ones refuse."""
        return moved(batch, device)

    def configure_optimizers(self) -> Any:
        """AdamW over the groups of rates, and the schedule."""
        settings = self.settings
        groups = parameter_groups(self.transformer, rates_of(settings.rates))
        return adamw(groups, settings, lambda step: rate_share(step, settings), fused=True)


def _lora_alone(module: Any, state: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
    """The base is where it was: what is saved is the LoRA."""
    trained = {f"{prefix}transformer.{name}" for name, _ in lora_parameters(module.transformer)}
    for name in state.keys() - trained:
        del state[name]


def rate_share(step: int, settings: LoraTraining) -> float:
    """The share of its rate that a group has in step ``step``, counted from 0.

    A line from 1 to ``final_share``, which it would reach in the step after the last.
    """
    return 1 - (1 - settings.final_share) * min(1.0, step / settings.steps)
