"""One part of a base in training: its networks and its loss as a Lightning module, and its run from start to end.

A part's folder:

======================= =================================================================
``run.json``            what the run is; another may not go on here
``checkpoints/``        the last two: weights, optimiser and all else that the next step needs
``logs/``, ``curves/``  numbers by step
``weights.safetensors`` the result; there once finished
======================= =================================================================

Every random number of a batch comes from generators seeded by the run's seed, the batch's number and the clip, so a run
that was killed goes on to the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dubflow.atomic import atomic_file
from dubflow.incontext.pretraining.settings import PartTraining
from dubflow.incontext.training.loss import LossParts
from dubflow.progress import Progress, Silent
from dubflow.tracking import METRICS, FolderLog, Logs, Record, RunLog, write_curves
from dubflow.training.attention import quick_attention
from dubflow.training.callbacks import Checkpoints, EveryStep, Logging, at_rest, ctrl_c_is_itself, spelled
from dubflow.training.claims import claim, flat, training_alone
from dubflow.training.devices import determinism_as_it_was, trainer
from dubflow.training.memory import keep_freed_memory
from dubflow.training.optimisation import adamw, warmup_and_cosine
from dubflow.training.resuming import CHECKPOINTS, found, told
from dubflow.training.seeds import seed_of
from dubflow.training.steps import clipped, count_batches, moved, must_be_finite

WEIGHTS = "weights.safetensors"
Batch = TypeVar("Batch")


class Material(Protocol[Batch]):
    """Batches of a part by their numbers."""

    def batch(self, number: int) -> Batch:
        """Batch ``number`` of the training, counted from 0; equal numbers, equal batches."""

    def held(self) -> list[Batch]:
        """Batches of people who are not trained on, the same at every validation."""


@dataclass(frozen=True)
class Part(Generic[Batch]):
    """What is trained, apart from where.

    Attributes:
        name: of the part and its folder. networks: what learns, by the names of the base's parts.
        loss: of a batch; when not training, without noise of its own. identity: beside the settings, what the run
            hangs on, as JSON. finish: what is measured of the trained networks and stored with their weights.
    """

    name: str
    networks: Mapping[str, nn.Module]
    loss: Callable[[Batch], LossParts]
    material: Material[Batch]
    settings: PartTraining
    identity: Mapping[str, Any]
    finish: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class PartReport:
    """What a run did: ``steps`` in all, ``resumed_at`` those found done, ``found`` whether all was there already,
    ``held``: the loss's parts on people held out, at the end."""

    name: str
    steps: int
    resumed_at: int
    found: bool
    parameters: int
    wall_s: float
    held: dict[str, float]


class PartModule(lightning.LightningModule, Generic[Batch]):
    """The networks of a part, all of whose weights learn.

    Attributes:
        parts: of the latest batch, detached. gradient: norm of the latest step's gradients, before clipping.
    """

    def __init__(self, part: Part[Batch]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(part.networks)
        self.part = part
        self.parts: LossParts | None = None
        self.gradient: Tensor | None = None
        self.networks.train()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of one batch.

        Raises:
            OurFault: ``training.loss_not_finite``.
        """
        # Losses draw their noise from torch's own generator; ``index`` is the batch's number, also after going on.
        torch.manual_seed(seed_of(self.part.settings.seed, "noise", index))
        with quick_attention(self.device):
            parts = self.part.loss(batch)
        must_be_finite(parts.total, parts.values, self.global_step, [])
        values = {name: value.detach() for name, value in parts.values.items()}
        self.parts = replace(parts, total=parts.total.detach(), values=values)
        return parts.total

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to ``clip_norm``.

        Raises:
            OurFault: ``training.loss_not_finite``.
        """
        self.gradient = clipped(self.networks.parameters(), self.part.settings.clip_norm, self.global_step, [])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's count of batches is made that of this run."""
        count_batches(checkpoint, self.part.settings.accumulate)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Lightning's own way copies and then fills objects, which frozen ones refuse."""
        return moved(batch, device)

    def configure_optimizers(self) -> Any:
        """AdamW and its schedule."""
        settings = self.part.settings
        groups = [{"params": list(self.networks.parameters()), "lr": settings.rate}]
        return adamw(groups, settings, lambda step: rate_share(step, settings), fused=True)


def rate_share(step: int, settings: PartTraining) -> float:
    """The share of the rate in step ``step``, counted from 0."""
    return warmup_and_cosine(step, settings.steps, settings.warmup_share, settings.final_share)


class _Numbered(Dataset[Batch]):
    def __init__(self, material: Material[Batch]) -> None:
        self.material = material

    def __getitem__(self, number: int) -> Batch:
        return self.material.batch(number)


class _FromStart:
    """Numbers of batches from ``start`` on; as long as the whole run, for Lightning counts from where it stopped."""

    def __init__(self, start: int, total: int) -> None:
        self.start, self.total = start, total

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Any:
        return iter(range(self.start, self.total))


class _Validation(EveryStep):
    def __init__(self, part: Part[Any], logs: Logs, progress: Progress) -> None:
        self.part, self.logs, self.progress = part, logs, progress
        self.latest: dict[str, float] = {}

    def stepped(self, trainer: lightning.Trainer, module: Any, step: int) -> None:
        """The loss on people held out; draws no number that training draws."""
        if step % self.part.settings.validate_every and step != trainer.max_steps:
            return
        with torch.random.fork_rng(), at_rest(module.networks), quick_attention(module.device):
            found = [self.part.loss(moved(batch, module.device)) for batch in self.part.material.held()]
        names = found[0].values
        self.latest = {name: sum(float(one.values[name]) for one in found) / len(found) for name in names}
        self.logs.metrics({f"val/{name}": value for name, value in self.latest.items()}, step)
        self.progress.note(f"{self.part.name}, step {step}: held out {spelled(self.latest)}")

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"latest": dict(self.latest)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.latest = dict(state_dict["latest"])


def train_part(
    part: Part[Any], out: Path, *, record: Record | None = None, progress: Progress | None = None
) -> PartReport:
    """Train ``part`` in ``out``, or go on with it, or find it finished; its networks end with the result, in place.

    Raises:
        WrongUse: ``training.other_run``, ``training.run_is_busy``, ``training.no_gpu``.
        OurFault: ``training.loss_not_finite``.
    """
    started = time.monotonic()
    progress = progress or Silent()
    settings = part.settings
    identity = {"part": part.name, "settings": settings.identity(), **part.identity}
    parameters = sum(one.numel() for network in part.networks.values() for one in network.parameters())
    report = PartReport(part.name, settings.steps, settings.steps, True, parameters, 0.0, {})
    with training_alone(out):
        claim(out, identity)
        if (out / WEIGHTS).is_file():
            put_weights(part.networks, load_file(out / WEIGHTS))
            progress.advance(settings.steps, cached=True)
            progress.expect(settings.steps)
            return report
        tags = {"stage": f"base-{part.name}", "world": "embedded"}
        with nullcontext() if record is None else record(tags) as log:
            begun, held = _fit(part, out, identity, log, progress)
            write_curves(out / "logs" / METRICS, out / "curves")
            for network in part.networks.values():
                network.eval()
            part.finish()
            with atomic_file(out / WEIGHTS) as written:
                save_file(weights_of(part.networks), written)
    return replace(report, resumed_at=begun, found=False, wall_s=time.monotonic() - started, held=held)


def _fit(
    part: Part[Any], out: Path, identity: dict[str, Any], log: RunLog | None, progress: Progress
) -> tuple[int, dict[str, float]]:
    keep_freed_memory()
    settings = part.settings
    checkpoint = found(out, progress.note)
    logs = Logs([FolderLog(out / "logs"), *([log] if log is not None else [])])
    logs.parameters(flat(identity))
    validation = _Validation(part, logs, progress)
    callbacks: list[Callback] = [
        Logging(logs, progress, settings.log_every),
        validation,
        Checkpoints(out / CHECKPOINTS, settings.checkpoint_every, getattr(log, "flush", None)),
    ]
    with determinism_as_it_was():
        runner = trainer(settings, out, callbacks)
        begun = told(checkpoint, settings.steps, progress)
        loader: DataLoader[Any] = DataLoader(
            _Numbered(part.material),
            batch_size=None,
            sampler=_FromStart(begun * settings.accumulate, settings.steps * settings.accumulate),
            num_workers=settings.loader_workers,
        )
        with ctrl_c_is_itself():
            runner.fit(PartModule(part), loader, ckpt_path=checkpoint)
    return begun, validation.latest


def weights_of(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """All weights under ``<network>.<name>``, float32 on the CPU."""
    return {
        f"{place}.{name}": value.detach().cpu().contiguous().clone()
        for place, network in networks.items()
        for name, value in network.state_dict().items()
    }


def put_weights(networks: Mapping[str, nn.Module], weights: Mapping[str, Tensor]) -> None:
    """The inverse of :func:`weights_of`."""
    for place, network in networks.items():
        own = {name.removeprefix(f"{place}."): value for name, value in weights.items() if name.startswith(f"{place}.")}
        network.load_state_dict(own)
        network.eval()
