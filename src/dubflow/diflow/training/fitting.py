"""The steps of a run, with all that happens beside them: what is left of it, from its newest whole checkpoint on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lightning.pytorch.callbacks import Callback

from dubflow.atomic import sweep
from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.stored import Network
from dubflow.diflow.training.callbacks import Averaging, Checkpoints, Logging, Result, Validation, spelled
from dubflow.diflow.training.checkpoints import checkpoint_path, latest_checkpoint, step_of
from dubflow.diflow.training.data import PreparedData
from dubflow.diflow.training.devices import determinism_as_it_was, joined, trainer
from dubflow.diflow.training.memory import keep_freed_memory
from dubflow.diflow.training.modules import StageModule
from dubflow.diflow.training.processes import from_all
from dubflow.diflow.training.resolved import write_resolved
from dubflow.diflow.training.task import Task, flat
from dubflow.diflow.training.validation import held_loss, say, write_spoken
from dubflow.errors import OurFault
from dubflow.progress import Progress
from dubflow.speech.codecs import Codec
from dubflow.tracking import FolderLog, Logs, RunLog

Bring = Callable[[int], None]


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
            OurFault: ``diflow.loss_not_finite``, ``diflow.checkpoint_not_here``.
        """
        keep_freed_memory()
        settings = self.task.settings
        checkpoint = self._found(first)
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
                checkpoint = self._agreed(checkpoint)
            begun = self._told(checkpoint)
            data.start = begun * settings.accumulate
            with ctrl_c_is_itself():
                runner.fit(module, datamodule=data, ckpt_path=checkpoint)
        assert result.network is not None
        return result.network, begun

    def _found(self, first: bool) -> Path | None:
        """The newest checkpoint that is whole, of those in the folder."""
        folder = self.out / "checkpoints"
        if first:
            sweep(folder, older_than_s=0)  # what a killed run was writing; nobody else writes here
        return latest_checkpoint(folder, self.progress.note if first else None)

    def _agreed(self, mine: Path | None) -> Path | None:
        """The checkpoint that the first process goes on from; one alone on older weights would spoil the rest.

        Raises:
            OurFault: ``diflow.checkpoint_not_here`` when this process's folder is another and lacks it.
        """
        step, *_ = from_all([step_of(mine) if mine else 0])
        if step == 0:
            return None
        path = checkpoint_path(self.out / "checkpoints", step)
        if not path.is_file() and self.bring is not None:
            self.bring(step)
        if not path.is_file():
            raise OurFault(
                "diflow.checkpoint_not_here",
                f"The first process goes on after step {step}; {self.out} has no such checkpoint.",
                "Let all nodes share the folder, or name a storage with --mirror.",
            )
        return path

    def _told(self, checkpoint: Path | None) -> int:
        """The steps before a checkpoint."""
        done = step_of(checkpoint) if checkpoint else 0
        if done:
            self.progress.note(f"Going on after step {done} of {self.task.settings.steps}, which {checkpoint} holds")
            self.progress.advance(done, cached=True)
        self.progress.expect(self.task.settings.steps)
        return done

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
