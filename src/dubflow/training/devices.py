"""Lightning's trainer as the settings want it: one processor, many GPUs, many nodes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, Strategy

from dubflow.errors import WrongUse
from dubflow.training.checkpoints import SafetensorsCheckpoints
from dubflow.training.settings import RunSettings
from dubflow.training.sharding import Shards


@contextmanager
def determinism_as_it_was() -> Iterator[None]:
    """Put back afterwards what a trainer changes for the whole process."""
    before = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def trainer(settings: RunSettings, out: Path, callbacks: Sequence[Callback]) -> lightning.Trainer:
    """A trainer for one run.

    Raises:
        WrongUse: ``training.no_gpu`` when a GPU is asked for and there is none.
    """
    gpu = settings.accelerator == "gpu" or (settings.accelerator == "auto" and torch.cuda.is_available())
    if settings.accelerator == "gpu" and not torch.cuda.is_available():
        raise WrongUse(
            "training.no_gpu", "The settings ask for a GPU, and none is here.", "Use accelerator: auto, or run on one."
        )
    # Memory filled with not-a-number before use would find reads of it, and costs half of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    plugins: list[Any] = [SafetensorsCheckpoints()]
    if SLURMEnvironment.detect():  # who runs it starts it again; it goes on from our checkpoints
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return lightning.Trainer(
        default_root_dir=out,
        accelerator="gpu" if gpu else "cpu",
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy=_strategy(settings),
        precision=_precision(settings, gpu),
        max_steps=settings.steps,
        accumulate_grad_batches=settings.accumulate,
        deterministic=not gpu,  # on a processor a run is repeated bit by bit, on a GPU nearly
        plugins=plugins,
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,  # the plan knows the processes
        limit_val_batches=0,
        num_sanity_val_steps=0,
    )


def joined(runner: lightning.Trainer, module: lightning.LightningModule) -> bool:
    """Let processes that a launcher started talk to one another before the fit, and say whether there are such.

    Those that Lightning starts by itself begin in the fit; they share this machine's folders.
    """
    environment = getattr(runner.strategy, "cluster_environment", None)
    if runner.world_size == 1 or environment is None or not environment.creates_processes_externally:
        return False
    runner.strategy.connect(module)
    runner.strategy.setup_environment()
    return True


def _precision(settings: RunSettings, gpu: bool) -> Any:
    if settings.precision == "auto":
        return "bf16-mixed" if has_bf16(gpu) else "32-true"
    return {"fp32": "32-true", "bf16": "bf16-mixed"}[settings.precision]


def has_bf16(gpu: bool) -> bool:
    """Whether the GPU, or the processor, multiplies in bfloat16 by instructions of its own."""
    return bool(torch.cuda.is_bf16_supported()) if gpu else "avx512_bf16" in _processor_flags()


def _processor_flags() -> frozenset[str]:
    """What Linux says that the processor can do; nothing where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def _strategy(settings: RunSettings) -> Strategy | str:
    if settings.devices * settings.nodes == 1:
        return "auto"
    if settings.strategy == "fsdp":
        return Shards(settings.devices * settings.nodes)
    # Parts whose loss weighs nothing get no gradient; the processes must not wait for one.
    return DDPStrategy(find_unused_parameters=True)
