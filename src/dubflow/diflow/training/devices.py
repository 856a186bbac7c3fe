"""Lightning's trainer as the settings want it: one processor, many GPUs, many nodes."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, Strategy

from dubflow.diflow.nets.dit import DitBlock
from dubflow.diflow.nets.fft import FftStack
from dubflow.diflow.training.checkpoints import SafetensorsCheckpoints
from dubflow.diflow.training.settings import TrainSettings
from dubflow.errors import WrongUse


def process_rank() -> int:
    """This process's number in a distributed run, before Lightning begins: 0 for the one started by hand."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def trainer(settings: TrainSettings, out: Path, callbacks: Sequence[Callback]) -> lightning.Trainer:
    """A trainer for one run.

    Raises:
        WrongUse: ``diflow.no_gpu`` when a GPU, or FSDP, is asked for and there is none.
    """
    gpu = settings.accelerator == "gpu" or (settings.accelerator == "auto" and torch.cuda.is_available())
    if (settings.accelerator == "gpu" or settings.strategy == "fsdp") and not torch.cuda.is_available():
        raise WrongUse(
            "diflow.no_gpu",
            "The settings ask for a GPU (or FSDP, which needs one), and none is here.",
            "Use accelerator: auto and strategy: ddp, or run where a GPU is.",
        )
    # Memory filled with not-a-number before use would find reads of it, and costs half of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    return lightning.Trainer(
        default_root_dir=out,
        accelerator="gpu" if gpu else "cpu",
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy=_strategy(settings),
        precision=_precision(settings, gpu),
        max_steps=settings.steps,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip_norm,
        deterministic=not gpu,  # on a processor a run is repeated bit by bit, on a GPU nearly
        plugins=[SafetensorsCheckpoints()],
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,  # the plan knows the processes
        limit_val_batches=0,
        num_sanity_val_steps=0,
    )


def _precision(settings: TrainSettings, gpu: bool) -> Any:
    if settings.precision == "auto":
        fast = torch.cuda.is_bf16_supported() if gpu else "avx512_bf16" in _processor_flags()
        return "bf16-mixed" if fast else "32-true"
    return {"fp32": "32-true", "bf16": "bf16-mixed"}[settings.precision]


def _processor_flags() -> frozenset[str]:
    """What Linux says that the processor can do; nothing where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def _strategy(settings: TrainSettings) -> Strategy | str:
    if settings.devices * settings.nodes == 1:
        return "auto"
    if settings.strategy == "fsdp":
        return FSDPStrategy(auto_wrap_policy={DitBlock, FftStack}, state_dict_type="full", use_orig_params=True)
    # Parts whose loss weighs nothing get no gradient; the processes must not wait for one.
    return DDPStrategy(find_unused_parameters=True)
