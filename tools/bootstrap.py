"""Make ``.venv`` from the lock. Standard library only: this runs before anything is installed.

``make demo`` and ``make test`` call it; when the lock has not changed since the last time it returns at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "dubflow-lock.sha256"
INPUTS = ("requirements-tools.lock", "requirements.lock", "requirements-nodeps.lock", "tools/bootstrap.py")
SUPPORTED = ((3, 11), (3, 12))
TORCH = "torch==2.13.0"


def main() -> int:
    started = time.monotonic()
    interpreter = supported_interpreter()
    if interpreter != sys.executable:
        os.execv(interpreter, [interpreter, *sys.argv])
    digest = lock_digest()
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8").strip() == digest:
        say("environment: .venv matches the lock")
        return 0
    problems = missing_system_packages(interpreter)
    if problems:
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        return 3
    python = VENV / "bin" / "python"
    uv = VENV / "bin" / "uv"
    # torch goes through pip alone: its CPU, CUDA and ROCm builds share one version number, so no hash fits them all,
    # and pip takes the build that this machine's own configuration prefers.
    steps = (
        ("make .venv", [interpreter, "-m", "venv", "--clear", str(VENV)]),
        ("install uv", [python, "-m", "pip", "install", "-q", "--require-hashes", "-r", "requirements-tools.lock"]),
        (f"install {TORCH} (the largest download)", [python, "-m", "pip", "install", "-q", TORCH]),
        # The lock names everything, so nothing is to be resolved; torch, which others ask for, has no hash in it.
        ("install the lock", [uv, "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", "requirements.lock"]),
        (
            "install what must come without its own pins",
            [uv, "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", "requirements-nodeps.lock"],
        ),
        ("install dubflow itself", [uv, "pip", "install", "-q", "--no-deps", "-e", "."]),
    )
    say("environment: building .venv from the lock (a few minutes the first time, seconds after that)")
    for number, (what, command) in enumerate(steps, 1):
        say(f"  [{number}/{len(steps)}] {what}")
        outcome = subprocess.run([str(word) for word in command], cwd=ROOT, env=environment(), check=False)
        if outcome.returncode:
            print(f"error: step {number} ({what}) failed with code {outcome.returncode}.", file=sys.stderr)
            print("hint: the lines above say why; a package index must be reachable the first time.", file=sys.stderr)
            return 4
    STAMP.write_text(digest + "\n", encoding="utf-8")
    say(f"environment: ready after {time.monotonic() - started:.0f} s")
    return 0


def lock_digest() -> str:
    """Changes whenever the environment would."""
    import tomllib

    # Of pyproject.toml only what is installed matters, not how the linter is set.
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    installed = {name: project[name] for name in ("build-system", "project")}
    # An environment knows its own place and works with one version of Python.
    content = hashlib.sha256(json.dumps([installed, str(ROOT), sys.version_info[:2]], sort_keys=True).encode())
    for name in INPUTS:
        content.update((ROOT / name).read_bytes())
    return content.hexdigest()


def environment() -> dict[str, str]:
    """Ours, with uv told to use ``.venv`` whatever environment the caller is in."""
    return {
        **os.environ,
        "VIRTUAL_ENV": str(VENV),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_LINK_MODE": "copy",
    }


def supported_interpreter() -> str:
    """This Python if its version is supported, else one on PATH."""
    if sys.version_info[:2] in SUPPORTED:
        return sys.executable
    for major, minor in SUPPORTED:
        found = shutil.which(f"python{major}.{minor}")
        if found:
            return found
    print(
        f"error: Python 3.11 or 3.12 is needed; this is {sys.version.split()[0]}.\n"
        "hint: apt-get install python3.11 python3.11-venv, or make PYTHON=path/to/python3.12 …",
        file=sys.stderr,
    )
    raise SystemExit(3)


def missing_system_packages(interpreter: str) -> list[str]:
    """What the steps below would stumble over, with the package that brings it."""
    problems = []
    check = subprocess.run([interpreter, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    if check.returncode:
        problems.append("this Python cannot make virtual environments: apt-get install python3-venv")
    if not (shutil.which("c++") or shutil.which("g++")):
        problems.append("no C++ compiler (pyworld is compiled on installation): apt-get install build-essential")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        problems.append("no Python headers (pyworld is compiled on installation): apt-get install python3-dev")
    return problems


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
