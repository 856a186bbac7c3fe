"""Bases and adapters by the names that people give where one is asked for: ``starter``, or where it lies."""

from __future__ import annotations

from pathlib import Path

import torch

from dubflow.errors import BadInput
from dubflow.incontext.adapter.lora import WEIGHTS
from dubflow.incontext.backbone.folders import INDEX
from dubflow.incontext.backbone.loading import load_backbone
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.tiny import TINY, tiny_backbone

STARTER = "starter"
"""The base that comes with the package, small and trained in the embedded world, and the adapter with which it dubs."""
SHIPPED = Path(__file__).parents[2] / "starter" / "base"
SHIPPED_ADAPTER = Path(__file__).parents[2] / "starter" / "lora" / WEIGHTS


def is_tiny(name: str | Path) -> bool:
    """Whether :func:`.tiny.tiny_backbone` is asked for: random weights, for tests."""
    return str(name) == TINY and not Path(name).exists()


def find_base(name: str | Path) -> Path:
    """Where a base lies.

    Raises:
        BadInput: ``incontext.no_starter`` where this installation came without it.
    """
    if str(name) != STARTER:
        return Path(name)
    if not (SHIPPED / INDEX).is_file():
        raise _not_shipped("base", "dubflow train base")
    return SHIPPED


def find_adapter(name: str | Path) -> Path:
    """Where an adapter lies.

    Raises:
        BadInput: ``incontext.no_starter`` where this installation came without it.
    """
    if str(name) != STARTER:
        return Path(name)
    if not SHIPPED_ADAPTER.is_file():
        raise _not_shipped("adapter", "dubflow train lora")
    return SHIPPED_ADAPTER


def _not_shipped(what: str, verb: str) -> BadInput:
    return BadInput(
        "incontext.no_starter",
        f"This installation has no starter {what}.",
        f"Train one ({verb}) and name where it lies.",
    )


def open_backbone(name: str | Path, device: str | None = None) -> Backbone:
    """A base to compute with, on a GPU where there is one.

    Raises:
        BadInput, WrongUse: those of :func:`find_base` and :func:`.loading.load_backbone`.
    """
    if is_tiny(name):
        return tiny_backbone()
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    # In bfloat16 a CPU is slow, and a GPU has no room for more.
    return load_backbone(find_base(name), dtype=torch.float32 if where == "cpu" else torch.bfloat16, device=where)
