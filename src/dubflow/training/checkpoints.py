"""Lightning's checkpoints as one safetensors file: tensors as tensors, all else as JSON in the header. No pickle.

A file is written beside its place and renamed, so whatever carries a checkpoint's name was once whole; a sum over its
content finds what a disk did to it since. A run goes on from its newest whole checkpoint.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dubflow.atomic import atomic_file
from dubflow.errors import BadInput, OurFault

FORMAT = "dubflow.checkpoint/1"
DAMAGED = ".damaged"
_NAME = "step-{step:08d}.safetensors"
_PATTERN = "step-*.safetensors"


class SafetensorsCheckpoints(CheckpointIO):
    """What Lightning calls to save, load and remove."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint``, a tree of dicts, lists, tuples, numbers, strings, None and tensors.

        Raises:
            OurFault: ``training.cannot_checkpoint`` when something else is in it.
        """
        tensors: dict[str, Tensor] = {}
        tree = json.dumps(_encoded(checkpoint, tensors))
        facts = {"format": FORMAT, "tree": tree, "crc32": str(_sum_of(tree, tensors))}
        with atomic_file(Path(path)) as part:
            save_file(tensors, part, metadata=facts)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read what :meth:`save_checkpoint` wrote; tensors are put on the CPU, Lightning moves them.

        Raises:
            BadInput: ``training.bad_checkpoint`` when it is not whole.
        """
        try:
            with safe_open(path, "pt") as file:
                facts = file.metadata() or {}
                if facts.get("format") != FORMAT:
                    raise ValueError("it is not a checkpoint of this dubflow")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            if facts.get("crc32", "") not in ("", str(_sum_of(facts["tree"], tensors))):
                raise ValueError("its content is not what was written")
            tree: dict[str, Any] = _decoded(json.loads(facts["tree"]), tensors)
        except (SafetensorError, FileNotFoundError, KeyError, ValueError) as error:
            raise BadInput(
                "training.bad_checkpoint", f"{path} does not read: {error}.", "Delete it: the one before it serves."
            ) from error
        return tree

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file, if it is there."""
        Path(path).unlink(missing_ok=True)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` steps lies."""
    return folder / _NAME.format(step=step)


def step_of(path: Path) -> int:
    """Steps after which a checkpoint was written."""
    return int(path.stem.removeprefix(_PATTERN.partition("*")[0]))


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a run, the newest last."""
    return sorted(folder.glob(_PATTERN), key=step_of)


def latest_checkpoint(folder: Path, note: Callable[[str], None] | None = None) -> Path | None:
    """The newest checkpoint that is whole, or None.

    Args:
        note: told of each that is damaged; those are then put aside under the suffix :data:`DAMAGED`. Without it
            nothing is changed.
    """
    for path in reversed(checkpoints(folder)):
        try:
            SafetensorsCheckpoints().load_checkpoint(path)
        except BadInput as error:
            if note is not None and path.exists():
                path.replace(path.with_name(path.name + DAMAGED))
                note(f"{error.headline} It is put aside; the one before it serves, or the beginning.")
            continue
        return path
    return None


def _sum_of(tree: str, tensors: Mapping[str, Tensor]) -> int:
    total = zlib.crc32(tree.encode())
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return total


def _encoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone().contiguous()  # two names of one memory would be refused
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"dict": [[_encoded(key, tensors), _encoded(each, tensors)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encoded(each, tensors) for each in value]}
    if isinstance(value, float) and value != value:
        return {"float": "nan"}
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return {"float": "inf" if value > 0 else "-inf"}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise OurFault("training.cannot_checkpoint", f"A checkpoint cannot hold a {type(value).__name__}: {value!r}.")


def _decoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {_decoded(key, tensors): _decoded(each, tensors) for key, each in inner}
    if kind == "float":
        return float(inner)
    items = [_decoded(each, tensors) for each in inner]
    return items if kind == "list" else tuple(items)
