"""What any module's steps share: the count of batches after a resumption, and the end where a number is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dubflow.errors import OurFault


def count_batches(checkpoint: dict[str, Any], accumulate: int) -> None:
    """Put the count of batches in a Lightning ``checkpoint`` right for this run, in place.

    Lightning counts batches; another number of processes takes another number of them for a step.
    """
    done = checkpoint["global_step"] * accumulate
    for count in ("total", "current"):
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"][count]
        progress |= {"ready": done, "started": done, "processed": done, "completed": done - 1}


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
