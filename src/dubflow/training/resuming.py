"""Where a run goes on: from its newest whole checkpoint, the same in every process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dubflow.atomic import sweep
from dubflow.errors import OurFault
from dubflow.progress import Progress
from dubflow.training.checkpoints import checkpoint_path, latest_checkpoint, step_of
from dubflow.training.processes import from_all

CHECKPOINTS = "checkpoints"
Bring = Callable[[int], None]
"""Brings the checkpoint of a step into a run's folder, for a process that lacks it."""


def found(out: Path, note: Callable[[str], None] | None) -> Path | None:
    """The newest checkpoint of the run in ``out`` that is whole.

    Args:
        note: of the one process that writes there; told of damaged ones. None in all others.
    """
    folder = out / CHECKPOINTS
    if note is not None:
        sweep(folder, older_than_s=0)  # what a killed run was writing; nobody else writes here
    return latest_checkpoint(folder, note)


def agreed(out: Path, mine: Path | None, bring: Bring | None) -> Path | None:
    """The checkpoint that the first process goes on from; one alone on older weights would spoil the rest.

    Raises:
        OurFault: ``training.checkpoint_not_here`` when this process's folder is another and lacks it.
    """
    step, *_ = from_all([step_of(mine) if mine else 0])
    if step == 0:
        return None
    path = checkpoint_path(out / CHECKPOINTS, step)
    if not path.is_file() and bring is not None:
        bring(step)
    if not path.is_file():
        raise OurFault(
            "training.checkpoint_not_here",
            f"The first process goes on after step {step}; {out} has no such checkpoint.",
            "Let all nodes share the folder, or name a storage with --mirror.",
        )
    return path


def told(checkpoint: Path | None, steps: int, progress: Progress) -> int:
    """The steps before a checkpoint, of ``steps`` in all; said to whoever waits."""
    done = step_of(checkpoint) if checkpoint else 0
    if done:
        progress.note(f"Going on after step {done} of {steps}, which {checkpoint} holds")
        progress.advance(done, cached=True)
    progress.expect(steps)
    return done
