"""What happens beside the steps of any training: the log and checkpoints."""

from __future__ import annotations

import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import Tensor, nn

from dubflow.progress import Progress
from dubflow.tracking import RunLog
from dubflow.training.checkpoints import checkpoint_path, checkpoints
from dubflow.training.processes import mean_of_all

_KEPT = 2


class Parts(Protocol):
    """A loss in parts: what is minimised, its parts by name, and counts beside them."""

    @property
    def total(self) -> Tensor:
        """What is minimised, a number."""

    @property
    def values(self) -> Mapping[str, Tensor]:
        """Parts by name."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Counts by name."""


class Measured(Protocol):
    """A module in training that says what its latest batch and step gave."""

    @property
    def parts(self) -> Parts | None:
        """Of the latest batch, detached."""

    @property
    def gradient(self) -> Tensor | None:
        """Norm of the latest step's gradients, before clipping."""

    @property
    def device(self) -> torch.device:
        """Where it lies."""


class EveryStep(Callback):
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

    def batched(self, trainer: lightning.Trainer, module: Any) -> None:
        """After each batch."""

    def stepped(self, trainer: lightning.Trainer, module: Any, step: int) -> None:
        """After step ``step``, counted from 1."""


class Logging(EveryStep):
    """Means of the loss parts over ``every`` steps and all processes, to the log and to the person who waits.

    The sums so far are part of a checkpoint, so the log of a run that was killed is that of one that was not.
    """

    def __init__(self, log: RunLog, progress: Progress, every: int) -> None:
        self.record, self.progress, self.every = log, progress, every
        self._sums: dict[str, float] = defaultdict(float)
        self._batches = 0

    def batched(self, trainer: lightning.Trainer, module: Measured) -> None:
        """Add up."""
        parts = module.parts
        if parts is None:
            return
        self._batches += 1
        losses = {"loss": parts.total, **parts.values}
        for name, value in ({name: float(part) for name, part in losses.items()} | dict(parts.counts)).items():
            self._sums[name] += value

    def stepped(self, trainer: lightning.Trainer, module: Measured, step: int) -> None:
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

    def _means(self, module: Measured) -> dict[str, float]:
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


class Checkpoints(EveryStep, Checkpoint):
    """A checkpoint every so many steps; the last two are kept. Lightning runs it after all other callbacks."""

    def __init__(self, folder: Path, every: int, flush: Callable[[], None] | None = None) -> None:
        """``flush`` writes down what the log still has in memory: steps before a checkpoint are not done again."""
        self.folder, self.every, self.flush = folder, every, flush

    def stepped(self, trainer: lightning.Trainer, module: Any, step: int) -> None:
        """Save, then forget the oldest."""
        if step % self.every and step != trainer.max_steps:
            return
        if self.flush is not None:
            self.flush()
        trainer.save_checkpoint(checkpoint_path(self.folder, step))
        if trainer.is_global_zero:
            for old in checkpoints(self.folder)[:-_KEPT]:
                old.unlink(missing_ok=True)


@contextmanager
def at_rest(network: nn.Module) -> Iterator[None]:
    """The network in eval mode, without gradients, and back in training after."""
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train()


@contextmanager
def ctrl_c_is_itself() -> Iterator[None]:
    """Ctrl-C leaves as ``KeyboardInterrupt``; Lightning makes an exit of it, and turns Ctrl-C off for good."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from end
