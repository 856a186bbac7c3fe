"""What a run was made with: versions, commit, the machine's size. No path and no name of the machine is among it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "dubflow", "torch", "lightning", "numpy", "scipy", "safetensors", "pydantic", "mlflow", "kfp", "dvc", "av",
    "librosa", "mediapipe", "onnxruntime", "transformers", "pyworld", "pocketsphinx", "espeakng-loader",
)  # fmt: skip
"""Whose versions may change a figure, or how a run is kept; those that are not installed are left out."""
_GIB = 2**30
_BEGAN = time.monotonic()
NO_CHECKOUT = "not a checkout"


def run_facts() -> dict[str, str]:
    """Tags of a run: ``version.*``, ``system.*`` and those of :func:`git_facts`, or ``git.changed``: not a checkout."""
    versions = {f"version.{name}": found for name in _PACKAGES if (found := _version(name))}
    return {
        **versions,
        "version.python": platform.python_version(),
        "system.platform": f"{platform.system()} {platform.machine()}",
        "system.cores": str(len(os.sched_getaffinity(0))),
        "system.processor": _processor(),
        "system.memory_gib": str(round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB)),
        **_device(),
        **(git_facts(Path(__file__).parent) or {"git.changed": NO_CHECKOUT}),
    }


def usage() -> dict[str, float]:
    """What this process has used so far: seconds, seconds of processors, and the most memory it held, GiB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "system/wall_s": time.monotonic() - _BEGAN,
        "system/cpu_s": used.ru_utime + used.ru_stime,
        "system/peak_memory_gib": used.ru_maxrss * 1024 / _GIB,
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        figures["system/peak_device_memory_gib"] = torch.cuda.max_memory_allocated() / _GIB
    return figures


def git_facts(folder: Path) -> dict[str, str]:
    """``mlflow.source.git.commit`` of the checkout that ``folder`` is part of, and ``git.changed``: true or false."""
    commit = _git(folder, "rev-parse", "HEAD")
    # A package installed inside somebody else's checkout says nothing about ours: the folder itself must be tracked.
    if not commit or not _git(folder, "ls-files", "."):
        return {}
    changed = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    return {"mlflow.source.git.commit": commit, "git.changed": str(changed).lower()}


def _git(folder: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's model as Linux names it; its architecture where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.machine()


def _device() -> dict[str, str]:
    """The accelerator's name and memory where torch was imported and has one, else cpu."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {"system.device": "cpu"}
    memory = round(torch.cuda.get_device_properties().total_memory / _GIB)
    count = str(torch.cuda.device_count())
    return {
        "system.device": str(torch.cuda.get_device_name()), "system.devices": count,
        "system.device_memory_gib": str(memory),
    }  # fmt: skip
