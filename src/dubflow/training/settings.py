"""How any training runs: steps, where, how often it says so. What it learns and at what rates is its room's affair."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dubflow.config import Strict

_NOT_THE_RUN = {
    "accelerator",
    "devices",
    "nodes",
    "strategy",
    "precision",
    "loader_workers",
    "log_every",
    "checkpoint_every",
}
"""Settings of where it runs and how often it says so; they may change when a run goes on. Devices may where the batches
of a step stay as many: halve ``accumulate`` on twice the devices."""


class RunSettings(Strict):
    """What all trainings have in common."""

    steps: int = Field(300_000, ge=1, description="Optimiser steps in all.")
    accumulate: int = Field(1, ge=1, description="Batches of each device whose gradients make a step.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW's.")
    clip_norm: float = Field(1.0, gt=0, description="Greatest norm of the gradients.")
    seed: int = Field(0, ge=0, description="Of weights, order, noise and dropout.")
    validate_every: int = Field(5_000, ge=1, description="Steps between validations.")
    checkpoint_every: int = Field(1_000, ge=1, description="Steps between checkpoints.")
    log_every: int = Field(50, ge=1, description="Steps between lines of the log.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the device has it, a processor with instructions for it too."
    )
    accelerator: Literal["auto", "cpu", "gpu"] = Field("auto", description="What to train on.")
    devices: int = Field(1, ge=1, description="Devices (processes) of a node.")
    nodes: int = Field(1, ge=1, description="Nodes; torchrun or the cluster starts them.")
    strategy: Literal["ddp", "fsdp"] = Field(
        "ddp", description="With several devices: copies or shards of the weights."
    )
    loader_workers: int = Field(0, ge=0, description="Processes that read batches ahead.")

    def identity(self) -> dict[str, Any]:
        """What must be equal for a run to go on, as JSON: devices count as batches of a step."""
        told = self.model_dump(mode="json", exclude=_NOT_THE_RUN)
        told["accumulate"] *= self.devices * self.nodes
        return told
