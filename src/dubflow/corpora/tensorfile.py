"""safetensors files: written whole or not at all, equal content giving equal bytes, and read by memory map.

The library writes metadata in an order that differs from run to run, and its numpy reader copies every tensor, while
training reads a few arrays of one clip out of a shard of hundreds. So both are done here; a test reads our files with
the library. The format is small: eight bytes (little-endian length of the header), a JSON header
of ``{name: {dtype, shape, data_offsets}}`` with string metadata under ``__metadata__``, then the bytes of the tensors
(https://github.com/huggingface/safetensors, README, *Format*).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.atomic import atomic_file
from dubflow.errors import BadInput

Arrays = Mapping[str, NDArray[Any]]

_DTYPES = {
    "BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "I16": np.int16, "U16": np.uint16, "I32": np.int32,
    "U32": np.uint32, "I64": np.int64, "U64": np.uint64, "F16": np.float16, "F32": np.float32, "F64": np.float64,
}  # fmt: skip
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_LENGTH_BYTES = 8
# The library refuses larger headers; so do we, before believing a length read from a file.
_MAX_HEADER = 100_000_000


def write_tensors(path: Path, arrays: Arrays, metadata: Mapping[str, str]) -> None:
    """Write ``arrays`` and string ``metadata`` to ``path``, little-endian; equal content gives equal bytes."""
    # Wide types first: every tensor then starts at a multiple of its item size, which memory maps want.
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    for name in order:
        size = arrays[name].nbytes
        dtype = _NAMES[arrays[name].dtype.newbyteorder("=")]
        header[name] = {"dtype": dtype, "shape": arrays[name].shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    with atomic_file(path) as part, open(part, "wb") as file:
        file.write(len(text).to_bytes(_LENGTH_BYTES, "little"))
        file.write(text)
        for name in order:
            array = arrays[name]
            file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data.cast("B") if array.size else b"")


class TensorFile:
    """A safetensors file whose tensors are read-only views of a memory map."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            BadInput: ``corpora.bad_tensor_file`` when the file is missing, cut short or not of this format.
        """
        self.path = Path(path)
        try:
            with open(self.path, "rb") as file:
                length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
                if not 0 < length <= _MAX_HEADER:
                    raise ValueError(f"a header of {length} bytes")
                header = json.loads(file.read(length))
            self.metadata: dict[str, str] = header.pop("__metadata__", {})
            self._entries: dict[str, dict[str, Any]] = header
            self._data_start = _LENGTH_BYTES + length
            end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
            size = self.path.stat().st_size
            if size != self._data_start + end:
                raise ValueError(f"{size} bytes instead of {self._data_start + end}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(
                "corpora.bad_tensor_file",
                f"{self.path} is not a whole safetensors file ({error}).",
                "Remove it and prepare again; finished clips are kept.",
            ) from error
        self._map: np.memmap[Any, np.dtype[np.uint8]] | None = None

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def bytes_of(self, name: str) -> int:
        """Size of a tensor on disk."""
        start, end = self._entries[name]["data_offsets"]
        return int(end - start)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The tensor, as a read-only view of the file.

        Raises:
            BadInput: ``corpora.bad_tensor_file`` for a type that numpy does not have or a size that is wrong.
        """
        entry = self._entries[name]
        start, end = entry["data_offsets"]
        if self._map is None:
            self._map = np.memmap(self.path, dtype=np.uint8, mode="r")
        try:
            raw = self._map[self._data_start + start : self._data_start + end]
            return raw.view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
        except (KeyError, ValueError) as error:
            raise BadInput(
                "corpora.bad_tensor_file", f"{self.path}: {name} cannot be read ({error}).", "Prepare again."
            ) from error
