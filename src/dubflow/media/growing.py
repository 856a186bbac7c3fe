"""An array that is filled piece by piece up to a limit of bytes, without holding everything twice."""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput

Scalar = TypeVar("Scalar", bound=np.generic)


class GrowingArray(Generic[Scalar]):
    """Items of one shape, appended.

    Args:
        dtype, shape: of one item. expected: how many items are likely to come; pages never written cost nothing.
        limit: most bytes. name: what to call the file in an error.
    """

    def __init__(self, dtype: type[Scalar], shape: tuple[int, ...], expected: int, limit: int, name: str) -> None:
        self._item_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        self._most = limit // self._item_bytes
        self._limit, self._name = limit, name
        self._store: NDArray[Any] = np.empty((min(max(expected, 16), self._most), *shape), dtype)
        self._count = 0

    @property
    def array(self) -> NDArray[Any]:
        """What has been filled."""
        return self._store[: self._count]

    def extend(self, count: int) -> NDArray[Any]:
        """Room for ``count`` more items, to be filled by the caller.

        Raises:
            BadInput: ``media.too_large_to_hold``.
        """
        wanted = self._count + count
        if wanted > self._most:
            raise BadInput(
                "media.too_large_to_hold",
                f"{self._name} holds more than {self._limit} bytes of frames or samples when decoded.",
                "Read it with stream_frames or stream_audio, or raise the limit on decoded bytes.",
                limit=self._limit,
            )
        if wanted > len(self._store):
            larger = np.empty(
                (min(self._most, max(wanted, len(self._store) * 3 // 2)), *self._store.shape[1:]), self._store.dtype
            )
            larger[: self._count] = self.array
            self._store = larger
        room = self._store[self._count : wanted]
        self._count = wanted
        return room
