"""Lightning's checkpoints as one safetensors file: tensors as tensors, all else as JSON in the header. No pickle.

A file is written beside its place and renamed, so whatever carries a checkpoint's name is whole.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dubflow.errors import BadInput, OurFault

_NAME = "step-{step:08d}.safetensors"
FORMAT = "dubflow.checkpoint/1"


class SafetensorsCheckpoints(CheckpointIO):
    """What Lightning calls to save, load and remove."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint``, a tree of dicts, lists, tuples, numbers, strings, None and tensors.

        Raises:
            OurFault: ``diflow.bad_checkpoint`` when something else is in it.
        """
        target = Path(path)
        tensors: dict[str, Tensor] = {}
        tree = _encoded(checkpoint, tensors)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        save_file(tensors, beside, metadata={"format": FORMAT, "tree": json.dumps(tree)})
        beside.replace(target)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read what :meth:`save_checkpoint` wrote; tensors are put on the CPU, Lightning moves them.

        Raises:
            BadInput: ``diflow.bad_checkpoint``.
        """
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise BadInput("diflow.bad_checkpoint", f"{path} is not a checkpoint of this dubflow.")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            tree: dict[str, Any] = _decoded(json.loads(metadata["tree"]), tensors)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise BadInput(
                "diflow.bad_checkpoint", f"{path} does not read: {error}.", "Delete it: the one before it serves."
            ) from error
        return tree

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file, if it is there."""
        Path(path).unlink(missing_ok=True)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` steps lies."""
    return folder / _NAME.format(step=step)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run, or None."""
    found = sorted(folder.glob(_NAME.split("{")[0] + "*.safetensors"))
    return found[-1] if found else None


def step_of(path: Path) -> int:
    """Steps after which a checkpoint was written."""
    return int(path.stem.removeprefix(_NAME.split("{")[0]))


def _encoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone().contiguous()  # two names of one memory would be refused
        return {"tensor": name}
    if isinstance(value, dict):
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
    raise OurFault("diflow.bad_checkpoint", f"A checkpoint cannot hold a {type(value).__name__}: {value!r}.")


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
