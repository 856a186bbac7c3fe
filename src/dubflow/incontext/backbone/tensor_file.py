"""safetensors files of torch tensors: read a tensor at a time, written a tensor at a time, equal content equal bytes.

The library writes metadata in an order that differs from run to run and wants all tensors in memory at once; numpy, on
which :mod:`dubflow.corpora.tensorfile` stands, has no bfloat16. So headers are written here, and memory stays at one
tensor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dubflow.atomic import atomic_file
from dubflow.errors import BadInput

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}
_ALIGNMENT = _LENGTH_BYTES = 8


class TensorFacts(NamedTuple):
    """What is known of a tensor without reading it."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes it takes."""
        return self.parameters * self.dtype.itemsize


def facts_of(tensor: Tensor) -> TensorFacts:
    """The facts of a tensor, on whatever device."""
    return TensorFacts(tensor.dtype, tuple(tensor.shape))


class _Place(NamedTuple):
    path: Path
    start: int


class TensorFiles:
    """One or several safetensors files as one mapping; nothing but headers is read before :meth:`load`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read the headers.

        Raises:
            BadInput: ``incontext.bad_tensor_file``.
        """
        self.facts: dict[str, TensorFacts] = {}
        self.metadata: dict[str, str] = {}
        self._places: dict[str, _Place] = {}
        for path in paths:
            try:
                self._open(Path(path))
            except (OSError, SafetensorError, KeyError, ValueError) as error:
                raise BadInput(
                    "incontext.bad_tensor_file",
                    f"{path} cannot be read as safetensors: {error}",
                    "Fetch the file again; formats that can carry code are not read.",
                ) from error

    def _open(self, path: Path) -> None:
        with safe_open(path, framework="pt"):
            pass  # the library checks that header and file fit each other
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            header: dict[str, Any] = json.loads(file.read(length))
        self.metadata |= header.pop("__metadata__", {})
        for name, entry in header.items():
            self.facts[name] = TensorFacts(_DTYPES[entry["dtype"]], tuple(entry["shape"]))
            self._places[name] = _Place(path, _LENGTH_BYTES + length + entry["data_offsets"][0])

    def load(self, name: str) -> Tensor:
        """One tensor, in memory of its own: a map would keep the whole file resident and break when it changes.

        Raises:
            BadInput: ``incontext.bad_tensor_file`` when the file became shorter.
        """
        fact, place = self.facts[name], self._places[name]
        content = torch.empty(fact.bytes, dtype=torch.uint8)
        with open(place.path, "rb") as file:
            file.seek(place.start)
            if fact.bytes and file.readinto(content.numpy().data) != fact.bytes:
                raise BadInput("incontext.bad_tensor_file", f"{place.path} became shorter.", "Fetch the file again.")
        return content.view(fact.dtype).reshape(fact.shape)


def write_tensor_file(
    path: Path, facts: Mapping[str, TensorFacts], load: Callable[[str], Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors to ``path``, whole or not at all; ``load`` is called once for each, in the order of the file.

    Args:
        path: the file to be.
        facts: names, dtypes and shapes; what ``load`` gives must fit them.
        load: the tensor of a name.
        metadata: strings for the header.
    """
    # Wide types first, so that every tensor starts at a multiple of its item's size.
    order = sorted(facts, key=lambda name: (-facts[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for name in order:
        end = offset + facts[name].bytes
        header[name] = {
            "dtype": _NAMES[facts[name].dtype],
            "shape": list(facts[name].shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with atomic_file(path) as part, open(part, "wb") as file:
        file.write(len(text).to_bytes(_LENGTH_BYTES, "little"))
        file.write(text)
        for name in order:
            tensor = load(name).detach().cpu()
            if facts_of(tensor) != facts[name]:
                raise ValueError(f"{name} is {facts_of(tensor)}, promised was {facts[name]}")
            if tensor.numel():
                file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors that are in memory; see :func:`write_tensor_file`."""
    write_tensor_file(path, {name: facts_of(tensor) for name, tensor in tensors.items()}, tensors.__getitem__, metadata)
