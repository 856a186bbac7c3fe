"""A training from a prepared set to a stored model.

A run's folder:

=================== ===========================================================================
``run.json``        what the run is: settings, data, teacher; another run may not go on here
``checkpoints/``    the last two, each with all that the next step needs
``logs/``           parameters and numbers by step
``preset.yaml``     the preset as it was used
``curves/``         the numbers as tables, once the run is finished
``validation/``     what was said at each validation
``model/``          the result, a stored model; there once the run is finished
=================== ===========================================================================
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.groups import group_lines
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.diflow.stored import FACTS, ModelFacts, Network, Stage, save_model
from dubflow.diflow.training.card import card, lineage
from dubflow.diflow.training.data import PreparedData
from dubflow.diflow.training.fitting import Fitting
from dubflow.diflow.training.modules import DubberModule, StageModule, TtsModule
from dubflow.diflow.training.settings import TtsTraining
from dubflow.diflow.training.task import Task, adopted, begun, sized
from dubflow.errors import BadInput
from dubflow.progress import Progress, Silent
from dubflow.tracking import METRICS, Record, write_curves
from dubflow.training.checkpoints import latest_checkpoint, step_of
from dubflow.training.claims import claim, training_alone
from dubflow.training.processes import process_rank
from dubflow.training.resuming import Bring


@dataclass(frozen=True)
class TrainReport:
    """What a training did.

    Attributes:
        stage: tts or dubber.
        model: folder of the result.
        steps: of the whole run. resumed_at: those found done. found: whether the result was there already.
        clips, held: clips trained on and held out. left_out: clips that were not used, by reason.
        parameters: of the network. trained: those that learn.
        wall_s: seconds of this call.
    """

    stage: Stage
    model: Path
    steps: int
    resumed_at: int
    found: bool
    clips: int
    held: int
    left_out: Mapping[str, int]
    parameters: int
    trained: int
    wall_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"model": str(self.model)}


def train(
    task: Task,
    out: Path,
    *,
    command: str = "",
    record: Record | None = None,
    progress: Progress | None = None,
    bring: Bring | None = None,
) -> TrainReport:
    """Train a stage in ``out``, or go on with it, or find it finished.

    In a distributed run every process calls this; the first one writes.

    Args:
        command: that would make it again; for card and lineage.
        record: opens a record beside the run's own ``logs/``; asked once all is checked and something is to be done. If
            the record has a method ``flush``, that is called before each checkpoint.
        progress: counts steps.
        bring: called in a process whose folder is not that of the first and lacks what the first goes on from.

    Raises:
        WrongUse: ``training.other_run`` when ``out`` holds a run of other settings or data, ``training.run_is_busy``,
            ``training.no_gpu``, and those of :class:`Task`.
        BadInput: ``diflow.nothing_to_train_on``, and those of the prepared set, the codec and the teacher.
        OurFault: ``training.loss_not_finite``, ``training.checkpoint_not_here``.
    """
    started = time.monotonic()
    progress = progress or Silent()
    first = process_rank() == 0
    with training_alone(out):
        prepared = PreparedSet(task.data)
        codec = task.read_codec(prepared)
        identity = task.identity(prepared)
        claim(out, identity, write=False)
        data = _data(task)
        progress.note(f"{len(data.train.clips)} clips to train on, {len(data.held.clips)} held out")
        module = _module(task, prepared, data)
        if first:
            claim(out, identity)  # not before all is checked: a call put wrongly must not keep the folder
        parameters = list(module.network.parameters())
        report = TrainReport(
            stage=task.stage,
            model=out / "model",
            steps=task.settings.steps,
            resumed_at=task.settings.steps,
            found=True,
            clips=len(data.train.clips),
            held=len(data.held.clips),
            left_out=data.train.left_out,
            parameters=sum(p.numel() for p in parameters),
            trained=sum(p.numel() for p in parameters if p.requires_grad),
        )
        if (report.model / FACTS).is_file():
            progress.advance(task.settings.steps, cached=True)
            progress.expect(task.settings.steps)
            return replace(report, wall_s=time.monotonic() - started)

        opened = nullcontext() if record is None or not first else record(task.tags(prepared))
        with opened as log:
            fitting = Fitting(task, out, prepared, codec, progress, log, bring)
            result, begun = fitting.run(module, data, first=first)
            if first:
                with suppress(BadInput):  # a log that was lost costs its tables, not the model
                    write_curves(out / "logs" / METRICS, out / "curves")
                _store(task, result, prepared, data, report, command or "unknown")
        return replace(report, resumed_at=begun, found=False, wall_s=time.monotonic() - started)


def survey(task: Task, out: Path) -> dict[str, Any]:
    """What :func:`train` would do, without doing it: clips, parts with their learning rates, steps done.

    Raises:
        As :func:`train`, but for what only training finds.
    """
    prepared = PreparedSet(task.data)
    task.read_codec(prepared)
    claim(out, task.identity(prepared), write=False)
    data = _data(task)
    checkpoint = latest_checkpoint(out / "checkpoints")
    groups = group_lines(_module(task, prepared, data).network, task.settings.rates)
    return {
        "clips": len(data.train.clips),
        "held": len(data.held.clips),
        "left_out": dict(data.train.left_out),
        "steps": task.settings.steps,
        "steps_done": step_of(checkpoint) if checkpoint else 0,
        "groups": [(line.part, line.group, f"{line.rate:g}", line.parameters) for line in groups],
    }


def _data(task: Task) -> PreparedData:
    vocabulary = task.nets.books.vocabulary
    return PreparedData(task.data, task.settings, pictures=task.stage == "dubber", vocabulary=vocabulary)


def _module(task: Task, prepared: PreparedSet, data: PreparedData) -> StageModule:
    """The network with the weights that training begins with."""
    nets = sized(task.nets, prepared, data.train.clips[0])
    teacher, start = task.read_teacher(prepared), task.read_start(prepared)
    torch.manual_seed(task.settings.seed)
    if isinstance(task.settings, TtsTraining):
        speaking = TtsNetwork(nets)
        if start is not None:
            begun(speaking, start)
        return TtsModule(speaking, task.settings)
    network = DubberNetwork(nets)
    if start is not None:
        begun(network, start)
    elif task.settings.adopt and teacher is not None:
        adopted(network, teacher.tts)
    else:  # what stage 1 has not taught must be learnt here
        network.start_alone()
    return DubberModule(network, task.settings, teacher.tts if teacher is not None else None)


def _store(
    task: Task, network: Network, prepared: PreparedSet, data: PreparedData, report: TrainReport, command: str
) -> None:
    index = prepared.index
    used = [prepared.info(clip) for clip in data.train.clips]
    facts = ModelFacts(
        stage=task.stage,
        settings=network.settings,
        codec=index.codec,
        extractors=index.extractors,
        prepare=index.preset,
        world=index.world,
        languages=tuple(sorted({info.language for info in used if info.language})),
        preset=task.preset,
        steps=task.settings.steps,
    )
    save_model(
        report.model,
        network,
        facts,
        card=card(
            facts,
            command=command,
            clips=report.clips,
            speakers=len({info.speaker for info in used}),
            minutes=sum(info.frames for info in used) / 25 / 60,
            parameters=report.parameters,
        ),
        lineage=lineage(task.identity(prepared), prepared, command),
        codec=task.codec,
    )
