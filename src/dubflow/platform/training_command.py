"""The command that trains, wherever it runs: on this machine, under torchrun, in the pods of a TrainJob."""

from __future__ import annotations

import sys
from typing import Literal

Stage = Literal["tts", "dubber"]
LAUNCHER_ENVIRONMENT = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Variables of torchrun. Each start of the processes gets a store of addresses of its own: in the one that torch 2.13
otherwise keeps, those that are started again may find where the lost ones listened, and wait there for ever."""


def training_words(
    stage: Stage,
    *,
    data: str,
    codec: str,
    out: str,
    teacher: str = "",
    preset: str = "tiny",
    start: str = "",
    steps: int = 0,
    seed: int = 0,
    nodes: int = 1,
    devices: int = 1,
    track: str = "",
    mirror: str = "",
) -> list[str]:
    """Words of ``dubflow train``; what is empty or 0 is left to the preset."""
    words = ["train", stage, "--data", data, "--codec", codec, "--out", out, "--preset", preset, "--seed", str(seed)]
    options = {"--teacher": teacher, "--start": start, "--steps": str(steps or ""), "--track": track}
    options["--mirror"] = mirror
    words += [word for name, value in options.items() if value for word in (name, value)]
    if nodes * devices > 1:
        words += ["--nodes", str(nodes), "--devices", str(devices)]
    return words


def launcher_of(nodes: int, devices: int, restarts: int = 3) -> list[str]:
    """What starts the processes of one node; nothing where there is one process.

    torchrun finds the other nodes by the variables that a TrainJob sets (``PET_*``). Where a process or a node was
    lost, it starts all of them again, ``restarts`` times at most, and they go on from the last checkpoint.
    """
    if nodes * devices == 1:
        return []
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={devices}"]
    launcher.append(f"--max-restarts={restarts}")
    if nodes == 1:
        return [*launcher, "--standalone"]
    return [*launcher, f"--nnodes={nodes}"]
