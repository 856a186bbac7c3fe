"""What making pairs costs: seconds by kind of work."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

ON_DEVICE = ("generate", "mask", "inpaint", "decode")
"""Work of the base; the rest runs on the processor whatever the device is."""


class Stopwatch:
    """Adds up wall seconds by kind of work; what a GPU was asked for counts until it is done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """Count what is done within as ``kind``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            self.seconds[kind] = self.seconds.get(kind, 0.0) + time.perf_counter() - started


def totals(seconds: Mapping[str, float]) -> dict[str, float]:
    """``seconds`` in all and ``device_seconds`` of them, which the base took."""
    return {
        "seconds": sum(seconds.values()),
        "device_seconds": sum(value for kind, value in seconds.items() if kind in ON_DEVICE),
    }
