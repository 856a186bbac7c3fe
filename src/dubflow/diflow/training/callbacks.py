"""What happens beside the steps: the log, checkpoints, averaged weights, validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import Tensor, nn

from dubflow.diflow.stored import Network
from dubflow.diflow.training.checkpoints import checkpoint_path, checkpoints
from dubflow.diflow.training.modules import StageModule
from dubflow.diflow.training.processes import mean_of_all
from dubflow.diflow.training.sharding import is_sharded, like, local, whole
from dubflow.progress import Progress
from dubflow.tracking import RunLog

_KEPT = 2


class _EveryStep(Callback):
    """Calls :meth:`stepped` once an optimiser step, however many batches make one."""

    _last = -1

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A resumed run has done its steps so far."""
        self._last = trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After each batch; steps are counted by the trainer."""
        self.batched(trainer, pl_module)
        if trainer.global_step != self._last:
            self._last = trainer.global_step
            self.stepped(trainer, pl_module, trainer.global_step)

    def batched(self, trainer: lightning.Trainer, module: StageModule) -> None:
        """After each batch."""

    def stepped(self, trainer: lightning.Trainer, module: StageModule, step: int) -> None:
        """After step ``step``, counted from 1."""


class Logging(_EveryStep):
    """Means of the loss parts over ``every`` steps and all processes, to the log and to the person who waits.

    The sums so far are part of a checkpoint, so the log of a run that was killed is that of one that was not.
    """

    def __init__(self, log: RunLog, progress: Progress, every: int) -> None:
        self.record, self.progress, self.every = log, progress, every
        self._sums: dict[str, float] = defaultdict(float)
        self._batches = 0

    def batched(self, trainer: lightning.Trainer, module: StageModule) -> None:
        """Add up."""
        parts = module.parts
        if parts is None:
            return
        self._batches += 1
        losses = {"loss": parts.total, **parts.values}
        for name, value in ({name: float(part) for name, part in losses.items()} | dict(parts.counts)).items():
            self._sums[name] += value

    def stepped(self, trainer: lightning.Trainer, module: StageModule, step: int) -> None:
        """Say where it stands."""
        self.progress.advance()
        if step % self.every and step != trainer.max_steps:
            return
        means = self._means(module)
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        beside = {"rate": float(rate), "gradient": float(0 if module.gradient is None else module.gradient)}
        self.record.metrics({f"train/{name}": value for name, value in (means | beside).items()}, step)
        shown = ["loss", *(module.parts.values if module.parts else ())]
        self.progress.note(
            f"step {step}/{trainer.max_steps}: {spelled({name: means[name] for name in shown})} (rate {rate:.1e})"
        )
        self._sums.clear()
        self._batches = 0

    def _means(self, module: StageModule) -> dict[str, float]:
        sums = torch.tensor([*self._sums.values(), self._batches], dtype=torch.float64)
        *totals, batches = mean_of_all(sums.to(module.device)).tolist()
        return {name: total / max(1.0, batches) for name, total in zip(self._sums, totals, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"sums": dict(self._sums), "batches": self._batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self._sums.update(state_dict["sums"])
        self._batches = state_dict["batches"]


def spelled(values: dict[str, float]) -> str:
    """Numbers by name, for a line of the log."""
    return " ".join(f"{name} {value:.3f}" for name, value in values.items())


class Checkpoints(_EveryStep, Checkpoint):
    """A checkpoint every so many steps; the last two are kept. Lightning runs it after all other callbacks."""

    def __init__(self, folder: Path, every: int, flush: Callable[[], None] | None = None) -> None:
        """``flush`` writes down what the log still has in memory: steps before a checkpoint are not done again."""
        self.folder, self.every, self.flush = folder, every, flush

    def stepped(self, trainer: lightning.Trainer, module: StageModule, step: int) -> None:
        """Save, then forget the oldest."""
        if step % self.every and step != trainer.max_steps:
            return
        if self.flush is not None:
            self.flush()
        trainer.save_checkpoint(checkpoint_path(self.folder, step))
        if trainer.is_global_zero:
            for old in checkpoints(self.folder)[:-_KEPT]:
                old.unlink(missing_ok=True)


class Averaging(_EveryStep):
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


@contextmanager
def at_rest(network: nn.Module) -> Iterator[None]:
    """The network in eval mode, without gradients, and back in training after."""
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train()


class Validation(_EveryStep):
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
