"""What happens beside DiFlowDubber's steps: averaged weights and validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from dubflow.diflow.stored import Network
from dubflow.diflow.training.modules import StageModule
from dubflow.training.callbacks import EveryStep, at_rest
from dubflow.training.sharding import is_sharded, like, local, whole


class Averaging(EveryStep):
    r"""An exponential moving average of the weights, saved with the run and used for all that is shown.

    After the first step it is the weights, after each further one :math:`\bar w \leftarrow d \bar w + (1 - d) w`.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, Tensor] = {}

    def stepped(self, trainer: lightning.Trainer, module: StageModule, step: int) -> None:
        """Take this step's weights in."""
        for name, parameter in module.network.named_parameters():
            now = parameter.detach()
            if name in self.average:
                mean = self.average[name] = like(self.average[name], now)
                local(mean).lerp_(local(now), 1 - self.decay)
            else:
                self.average[name] = now.clone()

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint; whole, so all processes must ask."""
        return {name: whole(mean) for name, mean in self.average.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.average = dict(state_dict)


class Result(Callback):
    """The network as it would be stored now: averaged where that is asked for, and whole.

    Attributes:
        network: the one at the end; None before.
    """

    def __init__(self, average: Averaging | None = None) -> None:
        self.averaging = average
        self.network: Network | None = None

    def of(self, module: StageModule) -> Network:
        """The network that is trained, or a copy where that is in shards or averaged; all processes must ask."""
        if self.averaging is None and not is_sharded(module.network):
            return module.network
        weights = {name: whole(value) for name, value in module.network.state_dict().items()}
        weights |= self.averaging.state_dict() if self.averaging is not None else {}
        network: Network = module.kind(module.network.settings)
        network.load_state_dict(weights)
        return network.to(module.device)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Keep it; this is called also where no step was left to do."""
        self.network = self.of(pl_module)


class Validation(EveryStep):
    """Every so many steps, and at the end: whatever ``validate`` does, with the weights that would be the result.

    It draws no number that training draws, so that a run with other validations gives the same weights.
    """

    def __init__(self, every: int, validate: Callable[[StageModule, Network, int], None], result: Result) -> None:
        self.every, self.validate, self.result = every, validate, result

    def stepped(self, trainer: lightning.Trainer, module: StageModule, step: int) -> None:
        """Validate in one process; the others wait for it at the next step."""
        if step % self.every and step != trainer.max_steps:
            return
        with torch.random.fork_rng():
            network = self.result.of(module)
            if trainer.is_global_zero:
                with at_rest(network):
                    self.validate(module, network, step)
