"""What any module's steps share: batches on a device, their count on resuming, clipping, the end where a number is
none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dubflow.errors import OurFault
from dubflow.training.processes import all_true, from_all
from dubflow.training.sharding import whole

Batch = TypeVar("Batch")


def count_batches(checkpoint: dict[str, Any], accumulate: int) -> None:
    """Put the count of batches in a Lightning ``checkpoint`` right for this run, in place.

    Lightning counts batches; another number of processes takes another number of them for a step.
    """
    done = checkpoint["global_step"] * accumulate
    for count in ("total", "current"):
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"][count]
        progress |= {"ready": done, "started": done, "processed": done, "completed": done - 1}


def must_be_finite(total: Tensor, values: Mapping[str, Tensor], step: int, clips: Sequence[str]) -> None:
    """Look at a batch's loss ``total``, whose parts are ``values``; ``step`` is counted from 0.

    Raises:
        OurFault: ``training.loss_not_finite``, in every process when it is so in one, with the clips of that.
    """
    finite = bool(torch.isfinite(total))
    if all_true(finite, total.device):
        return
    figures = {name: float(value.detach()) for name, value in values.items()}
    found = from_all([] if finite else [(figures, tuple(clips))])
    raise not_finite("The loss", step, found[0][0], [clip for _, each in found for clip in each])


def clipped(parameters: Iterable[nn.Parameter], norm: float, step: int, clips: Sequence[str]) -> Tensor:
    """Clip gradients to ``norm``, over all processes where the weights are in shards; their norm before that.

    Raises:
        OurFault: ``training.loss_not_finite`` when the gradients are no numbers, with the clips of the step.
    """
    gradient = whole(torch.nn.utils.clip_grad_norm_(list(parameters), norm))
    if not bool(torch.isfinite(gradient)):
        raise not_finite("The gradient", step, {"norm": float(gradient)}, from_all(list(clips)))
    return gradient


def not_finite(what: str, step: int, figures: dict[str, float], clips: Sequence[str]) -> OurFault:
    """The error that ends a training whose numbers are none."""
    listed = ", ".join(f"{name} {value:g}" for name, value in figures.items())
    return OurFault(
        "training.loss_not_finite",
        f"{what} of step {step + 1} is not finite ({listed}); its clips: {', '.join(clips[:32])}.",
        "The last checkpoint is kept. Look at these clips, lower the learning rate, or train in fp32.",
        step=step + 1,
        clips=list(clips),
    )


def moved(batch: Batch, device: torch.device) -> Batch:
    """The same batch with every tensor on ``device``."""
    on_device: Batch = _mapped(batch, lambda tensor: tensor.to(device, non_blocking=True))
    return on_device


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: _mapped(getattr(value, field.name), change) for field in fields(value)})
    return value
