"""What the benchmarks of DiFlowDubber share: random networks and clips, clocks, the device in words and its peak."""

from __future__ import annotations

import datetime
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from dubflow.diflow.nets.dubber import Picture
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.text import Text

Answer = TypeVar("Answer")


def introduce(device: torch.device) -> None:
    """Print what every table needs beside it: command, date, device."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    today = datetime.datetime.now(datetime.UTC).date()
    print(f"`{command}`\n{today}, {name}{threads}, torch {torch.__version__}\n", flush=True)


def processor() -> str:
    """The processor's name, as the system gives it."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
"""``processor`` counts the seconds that this process had a core: on a busy machine, and with one thread, what the work
takes where it is alone. With more threads it also counts their waiting for one another."""

clock = CLOCKS["wall"]


def use_clock(name: str) -> None:
    """Choose what :func:`timed` reads."""
    global clock
    clock = CLOCKS[name]


def timed(device: torch.device, work: Callable[[], Answer]) -> tuple[float, Answer]:
    """Seconds of ``work``, until the device has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = clock()
    answer = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - started, answer


@dataclass
class Clock:
    """Adds up what the calls of a function take."""

    device: torch.device
    seconds: float = 0.0

    def __call__(self, work: Callable[[], Answer]) -> Answer:
        """``work()``, timed."""
        seconds, answer = timed(self.device, work)
        self.seconds += seconds
        return answer


def gemm_peak(device: torch.device, dtype: torch.dtype, multiply: Callable[[Tensor, Tensor, Tensor], Tensor]) -> float:
    """Best floating-point operations a second of ``multiply(x, weight, bias)`` over square and network-like shapes."""
    sizes = [(4096, 4096, 4096), (16384, 768, 3072), (16384, 3072, 768)]
    if device.type == "cpu":
        sizes = [(1024, 1024, 1024), (480, 768, 3072), (1920, 768, 3072), (1920, 3072, 768)]
    best = 0.0
    for rows, inputs, outputs in sizes:
        x, weight = torch.randn(rows, inputs, device=device), torch.randn(outputs, inputs, device=device)
        operands = [part.to(dtype) for part in (x, weight, torch.zeros(outputs, device=device))]
        for _ in range(8):
            seconds, _ = timed(device, partial(multiply, *operands))
            best = max(best, 2 * rows * inputs * outputs / seconds)
    return best


def stir(network: nn.Module, seed: int = 0) -> None:
    """Random weights everywhere: gates and gains that start at zero would make every answer the same."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.3
            parameter.add_(0.3 * scale * torch.randn(parameter.shape, generator=noise).to(parameter.device))


def drawn_clips(
    frames: Sequence[int], settings: NetSettings, device: torch.device, seed: int = 0
) -> tuple[Text, Picture, Tensor]:
    """Random texts (a phoneme every two frames), pictures and speakers of clips of ``frames`` frames."""
    noise = torch.Generator().manual_seed(seed)
    counts = torch.tensor([max(1, count // 2) for count in frames])
    longest, batch = max(frames), len(frames)
    shape = (batch, int(counts.max()))
    phonemes = torch.randint(3, settings.text.symbols, shape, generator=noise)
    phonemes[torch.arange(shape[1]) >= counts.unsqueeze(-1)] = 0
    text = Text(phonemes.to(device), torch.randint(0, 3, shape, generator=noise).to(device), counts.to(device))
    picture = Picture(
        torch.randn(batch, longest, settings.lip_features, generator=noise).to(device),
        torch.randn(batch, longest, settings.face_features, generator=noise).to(device),
        torch.tensor(list(frames), device=device),
    )
    return text, picture, torch.randn(batch, settings.speaker, generator=noise).to(device)
