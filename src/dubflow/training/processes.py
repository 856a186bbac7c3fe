"""The processes of a distributed run: which one this is, and what all of them must agree on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import distributed

T = TypeVar("T")


def process_rank() -> int:
    """This process's number, before Lightning begins: 0 for the one started by hand, which speaks and writes."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    if int(os.environ.get("NODE_RANK", os.environ.get("GROUP_RANK", "0"))):
        return 1  # not the first, whichever
    return int(os.environ.get("LOCAL_RANK", "0"))


def launched() -> bool:
    """Whether torchrun started this process, and starts it again when one of them is lost."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def several() -> bool:
    """Whether this process is one of several that talk to one another."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def all_true(mine: bool, device: torch.device) -> bool:
    """Whether it is true in every process. All of them must ask."""
    if not several():
        return mine
    vote = torch.tensor(int(mine), device=device)
    distributed.all_reduce(vote, distributed.ReduceOp.MIN)
    return bool(vote)


def from_all(mine: Sequence[T]) -> list[T]:
    """The lists of every process behind one another. All of them must ask."""
    if not several():
        return list(mine)
    lists: list[Any] = [None] * distributed.get_world_size()
    # The objects are lists of names and numbers; torch packs them for the way between our own processes only.
    distributed.all_gather_object(lists, list(mine))
    return [one for each in lists for one in each]


def mean_of_all(values: torch.Tensor) -> torch.Tensor:
    """The mean over the processes of numbers ``[N]``. All of them must ask."""
    if not several():
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
