"""What happens beside the steps: the log, checkpoints, averaged weights, validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dubflow.diflow.stored import Network
from dubflow.diflow.training.checkpoints import checkpoint_path, step_of
from dubflow.diflow.training.modules import StageModule
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
    """Means of the loss parts over ``every`` steps, to the log and to the person who waits."""

    def __init__(self, log: RunLog, progress: Progress, every: int) -> None:
        self.record, self.progress, self.every = log, progress, every
        self._sums: dict[str, float] = defaultdict(float)
        self._batches = 0

    def batched(self, trainer: lightning.Trainer, module: StageModule) -> None:
        """Add up."""
        if module.parts is None:
            return
        self._batches += 1
        self._sums["loss"] += float(module.parts.total)
        for name, value in module.parts.values.items():
            self._sums[name] += float(value)
        for name, count in module.parts.counts.items():
            self._sums[name] += count

    def stepped(self, trainer: lightning.Trainer, module: StageModule, step: int) -> None:
        """Say where it stands."""
        self.progress.advance()
        if step % self.every and step != trainer.max_steps:
            return
        means = {name: total / max(1, self._batches) for name, total in self._sums.items()}
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        self.record.metrics({f"train/{name}": value for name, value in means.items()} | {"train/rate": rate}, step)
        shown = (
            " ".join(f"{name} {means[name]:.3f}" for name in ["loss", *module.parts.values] if name in means)
            if module.parts
            else ""
        )
        self.progress.note(f"step {step}/{trainer.max_steps}: {shown} (rate {rate:.1e})")
        self._sums.clear()
        self._batches = 0


class Checkpoints(_EveryStep, Checkpoint):
    """A checkpoint every so many steps; the last two are kept. Lightning runs it after all other callbacks."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def stepped(self, trainer: lightning.Trainer, module: StageModule, step: int) -> None:
        """Save, then forget the oldest."""
        if step % self.every and step != trainer.max_steps:
            return
        trainer.save_checkpoint(checkpoint_path(self.folder, step))
        if trainer.is_global_zero:
            for old in sorted(self.folder.glob("step-*.safetensors"), key=step_of)[:-_KEPT]:
                old.unlink(missing_ok=True)


class Averaging(_EveryStep):
    """An exponential moving average of the weights (torch's), saved with the run and used for all that is shown."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def stepped(self, trainer: lightning.Trainer, module: StageModule, step: int) -> None:
        """Take this step's weights in."""
        self.average.to(module.device)
        self.average.update_parameters(module.network)

    @property
    def network(self) -> Network:
        """The network with the averaged weights."""
        return cast(Network, self.average.module)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return dict(self.average.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.average.load_state_dict(state_dict)


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

    def __init__(
        self, every: int, validate: Callable[[StageModule, Network, int], None], average: Averaging | None
    ) -> None:
        self.every, self.validate, self.average = every, validate, average

    def stepped(self, trainer: lightning.Trainer, module: StageModule, step: int) -> None:
        """Validate on one process; the others wait for it at the next step."""
        if (step % self.every and step != trainer.max_steps) or not trainer.is_global_zero:
            return
        shown = module.network if self.average is None else self.average.network
        with at_rest(shown), torch.random.fork_rng():
            self.validate(module, shown, step)
