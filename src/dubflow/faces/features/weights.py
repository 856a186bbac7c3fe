"""Weights of a public checkpoint into a network of ours: safely, completely, or not at all."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from dubflow.errors import BadInput

# What checkpoints wrap their parameters in, and the prefix that data-parallel training leaves on every name.
CONTAINERS = ("model_state_dict", "state_dict")
PARALLEL_PREFIX = "module."

# Batch normalisation counts its updates; inference does not read the count and older files lack it.
OPTIONAL_SUFFIX = "num_batches_tracked"

MANY = 12


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Named tensors of a ``.safetensors`` file or a torch file (opened with ``weights_only=True``: no code is run).

    A container (``model_state_dict``, ``state_dict``) is opened and the prefix ``module.`` taken off.

    Raises:
        BadInput: ``faces.weights_missing``, ``faces.bad_weights``.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(
            "faces.weights_missing", f"There is no file of weights {path.name!r}.", "Give the path of the checkpoint."
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise BadInput(
            "faces.bad_weights",
            f"{path.name} is not a file of plain tensors: {_first_line(error)}",
            "Files that hold other Python objects are refused; save the state dict alone, best as .safetensors.",
        ) from error
    for container in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise BadInput(
            "faces.bad_weights", f"{path.name} holds no dictionary of tensors.", "Give a state dict, not a whole model."
        )
    return {str(name).removeprefix(PARALLEL_PREFIX): tensor for name, tensor in content.items()}


def load_strictly(network: nn.Module, weights: Mapping[str, torch.Tensor], ignored: Sequence[str], what: str) -> None:
    """Puts ``weights`` into ``network`` and sets it to inference.

    Args:
        network: its parameter names are those of the published checkpoint.
        weights: as ``read_weights`` gives them.
        ignored: prefixes of parameters that belong to parts we do not run, such as a classifier.
        what: names the network in errors.

    Raises:
        BadInput: ``faces.weights_do_not_fit`` listing every missing, unknown and differently shaped name, or
            ``faces.bad_weights`` when values are not finite.
    """
    own = network.state_dict()
    offered = {name: tensor for name, tensor in weights.items() if not name.startswith(tuple(ignored))}
    missing = sorted(name for name in own if name not in offered and not name.endswith(OPTIONAL_SUFFIX))
    unknown = sorted(name for name in offered if name not in own)
    misshapen = sorted(
        f"{name} {list(offered[name].shape)} instead of {list(own[name].shape)}"
        for name in own
        if name in offered and offered[name].shape != own[name].shape
    )
    if missing or unknown or misshapen:
        groups = (("missing", missing), ("unknown", unknown), ("of another shape", misshapen))
        raise BadInput(
            "faces.weights_do_not_fit",
            f"The weights are not those of {what}: "
            + "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in groups if names)
            + ".",
            "Give the published checkpoint of exactly this network.",
            missing=missing,
            unknown=unknown,
            misshapen=misshapen,
        )
    broken = sorted(name for name, tensor in offered.items() if not bool(torch.isfinite(tensor).all()))
    if broken:
        raise BadInput(
            "faces.bad_weights", f"Values of {_some(broken)} are not finite.", "The file is damaged; fetch it again."
        )
    network.load_state_dict({**own, **offered})
    network.eval().requires_grad_(False)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content = load_file(path)
    except SafetensorError as error:
        raise BadInput(
            "faces.bad_weights", f"{path.name} is not a safetensors file: {_first_line(error)}", "Fetch the file again."
        ) from error
    return {name.removeprefix(PARALLEL_PREFIX): tensor for name, tensor in content.items()}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MANY]) + (f" and {len(names) - MANY} more" if len(names) > MANY else "")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
