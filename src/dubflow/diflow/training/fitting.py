"""The steps of a run, with all that happens beside them: what is left of it, from its newest whole checkpoint on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lightning.pytorch.callbacks import Callback

from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.stored import Network
from dubflow.diflow.training.callbacks import Averaging, Result, Validation
from dubflow.diflow.training.data import PreparedData
from dubflow.diflow.training.modules import StageModule
from dubflow.diflow.training.resolved import write_resolved
from dubflow.diflow.training.task import Task
from dubflow.diflow.training.validation import held_loss, say, write_spoken
from dubflow.progress import Progress
from dubflow.speech.codecs import Codec
from dubflow.tracking import FolderLog, Logs, RunLog
from dubflow.training.callbacks import Checkpoints, Logging, ctrl_c_is_itself, spelled
from dubflow.training.claims import flat
from dubflow.training.devices import determinism_as_it_was, joined, trainer
from dubflow.training.memory import keep_freed_memory
from dubflow.training.resuming import Bring, agreed, found, told


@dataclass(frozen=True)
class Fitting:
    """Where a run reads from and writes to.

    Attributes:
        task: what the run is made from. out: its folder. prepared: its data. codec: what speaks its tokens.
        progress: counts steps. log: a record beside the folder's own, or None.
        bring: brings the checkpoint of a step into the folder, for a process that lacks it.
    """

    task: Task
    out: Path
    prepared: PreparedSet
    codec: Codec
    progress: Progress
    log: RunLog | None = None
    bring: Bring | None = None

    def run(self, module: StageModule, data: PreparedData, *, first: bool) -> tuple[Network, int]:
        """Do what is left of the steps; the network that is the result, and how many steps were found done.

        ``first`` says whether this is the process that writes.

        Raises:
            OurFault: ``training.loss_not_finite``, ``training.checkpoint_not_here``.
        """
        keep_freed_memory()
        settings = self.task.settings
        checkpoint = found(self.out, self.progress.note if first else None)
        logs, flush = self._logs(first, module)
        averaging = Averaging(settings.ema) if settings.ema is not None else None
        result = Result(averaging)
        callbacks: list[Callback] = [] if averaging is None else [averaging]
        callbacks.append(Logging(logs, self.progress, settings.log_every))
        if data.held.clips:
            callbacks.append(Validation(settings.validate_every, partial(self._validate, data, logs), result))
        callbacks += [result, Checkpoints(self.out / "checkpoints", settings.checkpoint_every, flush)]
        with determinism_as_it_was():
            runner = trainer(settings, self.out, callbacks)
            if joined(runner, module):
                checkpoint = agreed(self.out, checkpoint, self.bring)
            begun = told(checkpoint, settings.steps, self.progress)
            data.start = begun * settings.accumulate
            with ctrl_c_is_itself():
                runner.fit(module, datamodule=data, ckpt_path=checkpoint)
        assert result.network is not None
        return result.network, begun

    def _logs(self, first: bool, module: StageModule) -> tuple[Logs, Callable[[], None] | None]:
        """The records of this process, and what makes the given one write down what it holds."""
        if not first:
            return Logs([]), None
        logs = Logs([FolderLog(self.out / "logs"), *([self.log] if self.log is not None else [])])
        logs.parameters(flat(self.task.identity(self.prepared)))
        logs.artifact(write_resolved(self.task, self.prepared, module.network.settings, self.out))
        return logs, getattr(self.log, "flush", None)

    def _validate(self, data: PreparedData, logs: Logs, module: StageModule, shown: Network, step: int) -> None:
        """Measure the loss on clips held out and say some of them."""
        losses = held_loss(module, shown, data.val_dataloader())
        logs.metrics(losses, step)
        name = f"validation/step-{step:08d}"
        spoken = say(shown, self.prepared, data.aloud())
        write_spoken(spoken, self.prepared, self.codec, self.out / name, logs, name)
        losses = {name.removeprefix("val/"): value for name, value in losses.items()}
        self.progress.note(f"step {step}: held out {spelled(losses)}")
