"""A training from stored pairs to an adapter.

A run's folder:

=================== ===========================================================================
``run.json``        what the run is: settings, data, base; another run may not go on here
``latents/``        stored pairs, where no other place was named
``checkpoints/``    the last two: LoRA, optimiser and all else that the next step needs
``groups.csv``      learning rate and group of every weight that is trained
``logs/``           parameters and numbers by step
``curves/``         the numbers as tables, once the run is finished
``validation/``     dubs of pairs held out, at each validation
``model/``          the result: adapter.safetensors, card.md, lineage.json; there once finished
=================== ===========================================================================
"""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from torch import Tensor

from dubflow.atomic import write_text
from dubflow.errors import BadInput
from dubflow.incontext.adapter.groups import group_lines, group_table, rates_of
from dubflow.incontext.adapter.lora import WEIGHTS, add_lora, lora_parameters, put_lora
from dubflow.incontext.training.data import PairData
from dubflow.incontext.training.module import LoraModule
from dubflow.incontext.training.result import LoraResult, Validation
from dubflow.incontext.training.task import LoraTask, write_result
from dubflow.incontext.training.validation import dub_pairs, held_loss, write_dubs
from dubflow.progress import Progress, Silent
from dubflow.tracking import METRICS, FolderLog, Logs, Record, RunLog, write_curves
from dubflow.training.callbacks import Checkpoints, Logging, ctrl_c_is_itself, spelled
from dubflow.training.checkpoints import latest_checkpoint, step_of
from dubflow.training.claims import claim, flat, training_alone
from dubflow.training.devices import determinism_as_it_was, joined, trainer
from dubflow.training.memory import keep_freed_memory
from dubflow.training.processes import process_rank
from dubflow.training.resuming import CHECKPOINTS, Bring, agreed, found, told
from dubflow.training.sharding import is_sharded

MODEL = "model"


@dataclass(frozen=True)
class LoraReport:
    """What a training did.

    Attributes:
        adapter: file of the result. steps: of the whole run. resumed_at: those found done.
        found: whether the result was there already. pairs, held: trained on and held out.
        unmasked: trained on without a face mask. left_out: pairs that could not be used. trained: numbers that learn.
        wall_s: seconds of this call. world: where the pairs are from, embedded or real.
    """

    adapter: Path
    steps: int
    resumed_at: int
    found: bool
    pairs: int
    held: int
    unmasked: int
    left_out: int
    trained: int
    world: str
    wall_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"adapter": str(self.adapter)}


def train_lora(
    task: LoraTask,
    out: Path,
    *,
    command: str = "",
    record: Record | None = None,
    progress: Progress | None = None,
    bring: Bring | None = None,
) -> LoraReport:
    """Train a LoRA in ``out``, or go on with it, or find it finished. The base gets the LoRA, in place.

    In a distributed run every process calls this; the first one writes.

    Args:
        command: that would make it again; for card and lineage.
        record: opens a record beside the run's own ``logs/``; if it has a method ``flush``, that is called before each
            checkpoint.
        progress: counts steps.
        bring: called in a process whose folder is not that of the first and lacks what the first goes on from.

    Raises:
        WrongUse: ``training.other_run``, ``training.run_is_busy``, ``training.no_gpu``, ``incontext.idle_pattern``.
        BadInput: ``incontext.nothing_to_train_on``, ``incontext.other_base``, and those of cache and adapter.
        OurFault: ``training.loss_not_finite``, ``training.checkpoint_not_here``.
    """
    started = time.monotonic()
    progress = progress or Silent()
    first = process_rank() == 0
    with training_alone(out):
        data, identity = _prepared(task)
        claim(out, identity, write=False)
        module = _module(task)
        if first:
            claim(out, identity)  # not before all is checked: a call put wrongly must not keep the folder
        report = _report(task, data, out)
        if report.adapter.is_file():
            progress.advance(task.settings.steps, cached=True)
            progress.expect(task.settings.steps)
            return replace(report, wall_s=time.monotonic() - started)
        opened = nullcontext() if record is None or not first else record(task.tags(identity))
        with opened as log:
            begun, weights = _fit(task, module, data, out, identity, log, progress, bring, first)
            if first:
                with suppress(BadInput):  # a log that was lost costs its tables, not the adapter
                    write_curves(out / "logs" / METRICS, out / "curves")
                write_result(task, identity, weights, out / MODEL, command or "unknown")
        return replace(report, resumed_at=begun, found=False, wall_s=time.monotonic() - started)


def survey(task: LoraTask, out: Path) -> dict[str, Any]:
    """What :func:`train_lora` would do, without doing it: pairs, groups of learning rates, steps done.

    Raises:
        As :func:`train_lora`, but for what only training finds.
    """
    data, identity = _prepared(task)
    claim(out, identity, write=False)
    report = _report(task, data, out)
    checkpoint = latest_checkpoint(out / CHECKPOINTS)
    module = _module(task)
    return {
        "pairs": report.pairs,
        "held": report.held,
        "unmasked": report.unmasked,
        "left_out": report.left_out,
        "steps": report.steps,
        "steps_done": step_of(checkpoint) if checkpoint else 0,
        "groups": [
            (line.part, line.group, f"{line.rate:g}", line.tensors, line.parameters)
            for line in group_lines(module.transformer, rates_of(task.settings.rates))
        ],
    }


def _prepared(task: LoraTask) -> tuple[PairData, dict[str, Any]]:
    index = task.latents.index
    if index.version != task.backbone.version:
        raise BadInput(
            "incontext.other_base",
            f"{task.latents.root} was encoded by LTX-2 {index.version}; the base is {task.backbone.version}.",
            "Encode the pairs with the base that is trained; latents and features do not fit another version.",
        )
    return PairData(task.latents, task.backbone.geometry, task.settings), task.identity()


def _module(task: LoraTask) -> LoraModule:
    """The base with the LoRA that training begins with."""
    weights = task.start_weights()
    add_lora(task.backbone.transformer, task.lora, seed=task.settings.seed)
    if weights is not None:
        put_lora(task.backbone.transformer, weights)
    return LoraModule(task.backbone.transformer, task.settings)


def _report(task: LoraTask, data: PairData, out: Path) -> LoraReport:
    index = task.latents.index
    return LoraReport(
        adapter=out / MODEL / WEIGHTS,
        steps=task.settings.steps,
        resumed_at=task.settings.steps,
        found=True,
        pairs=len(data.train),
        held=len(data.held),
        unmasked=sum(not index.pairs[name].masked for name in data.train),
        left_out=len(index.left_out),
        trained=sum(p.numel() for _, p in lora_parameters(task.backbone.transformer)),
        world=index.world,
    )


def _fit(
    task: LoraTask,
    module: LoraModule,
    data: PairData,
    out: Path,
    identity: dict[str, Any],
    log: RunLog | None,
    progress: Progress,
    bring: Bring | None,
    first: bool,
) -> tuple[int, dict[str, Tensor]]:
    """Do what is left of the steps; how many were found done, and the LoRA at the end."""
    keep_freed_memory()
    settings = task.settings
    checkpoint = found(out, progress.note if first else None)
    logs = Logs([])
    if first:
        logs = Logs([FolderLog(out / "logs"), *([log] if log is not None else [])])
        logs.parameters(flat(identity))
        write_text(out / "groups.csv", group_table(module.transformer, rates_of(settings.rates)))
        logs.artifact(out / "groups.csv")
        unmasked = sum(not task.latents.index.pairs[name].masked for name in data.train)
        if unmasked:
            progress.note(f"{unmasked} of {len(data.train)} pairs have no face mask: all of their picture weighs alike")
    callbacks: list[Callback] = [Logging(logs, progress, settings.log_every)]
    if data.held:
        validate = partial(_validate, task, data, logs, out, progress)
        callbacks.append(Validation(settings.validate_every, validate))
    result = LoraResult()
    callbacks.append(result)
    callbacks.append(Checkpoints(out / CHECKPOINTS, settings.checkpoint_every, getattr(log, "flush", None)))
    with determinism_as_it_was():
        runner = trainer(settings, out, callbacks)
        if joined(runner, module):
            checkpoint = agreed(out, checkpoint, bring)
        begun = told(checkpoint, settings.steps, progress)
        data.start = begun * settings.accumulate
        with ctrl_c_is_itself():
            runner.fit(module, datamodule=data, ckpt_path=checkpoint)
    assert result.weights is not None
    return begun, result.weights


def _validate(
    task: LoraTask,
    data: PairData,
    logs: Logs,
    out: Path,
    progress: Progress,
    module: LoraModule,
    step: int,
    first: bool,
) -> None:
    """The loss on pairs held out, and dubs of some; where weights are in shards all processes take part."""
    losses = held_loss(module, data.val_dataloader())
    ids = data.dubbed()
    sharded = is_sharded(module.transformer)
    dubs = dub_pairs(task.backbone, task.latents, ids, task.inference, task.settings, module.device, reuse=not sharded)
    if not first:
        return
    logs.metrics(losses, step)
    name = f"validation/step-{step:08d}"
    for path in write_dubs(task.backbone, ids, dubs, out / name):
        logs.artifact(path, name)
    progress.note(f"step {step}: held out {spelled({key.removeprefix('val/'): v for key, v in losses.items()})}")
