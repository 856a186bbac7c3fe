"""Every check there is, in order, with how far it is. ``make test`` calls it.

A full pass over an unchanged tree is remembered beside the environment, so that asking again answers in seconds;
``make retest`` forgets it. A fresh clone has nothing to remember and runs everything.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
MEMORY = ROOT / ".venv" / "dubflow-tested.txt"


def steps(quick: bool) -> list[tuple[str, list[str]]]:
    """What is run, in this order: cheap and telling first."""
    pytest = [str(BIN / "pytest"), "-n", str(len(os.sched_getaffinity(0))), "--dist", "worksteal"]
    checks = [
        ("format", [str(BIN / "ruff"), "format", "--check", "-q"]),
        ("lint", [str(BIN / "ruff"), "check", "-q"]),
        ("arrows between rooms", [str(BIN / "lint-imports"), "--no-logo"]),
        ("types", [str(BIN / "mypy")]),
        ("quick tests", [*pytest, "-m", "not slow"]),
    ]
    if not quick:
        # One after the other: these measure, kill and train, and would disturb one another.
        checks.append(("slow tests", [str(BIN / "pytest"), "-m", "slow", "--durations=5"]))
    return checks


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="leave the slow tests out")
    arguments.add_argument("--again", action="store_true", help="run even if nothing has changed since the last pass")
    asked = arguments.parse_args()
    state = tree_digest()
    if not asked.quick and not asked.again and MEMORY.is_file():
        remembered, when = MEMORY.read_text(encoding="utf-8").splitlines()[:2]
        if remembered == state:
            print(f"Nothing has changed since every check passed ({when}). `make retest` runs them again.")
            return 0
    todo = steps(asked.quick)
    started = time.monotonic()
    for number, (what, command) in enumerate(todo, 1):
        print(f"\n[{number}/{len(todo)}] {what}", flush=True)
        begun = time.monotonic()
        outcome = subprocess.run(command, cwd=ROOT, check=False)
        if outcome.returncode:
            print(f"[{number}/{len(todo)}] {what} FAILED: {' '.join(command)}", flush=True)
            return 1
        print(f"[{number}/{len(todo)}] {what}: passed in {time.monotonic() - begun:.0f} s", flush=True)
    print(f"\nEvery check passed in {time.monotonic() - started:.0f} s.", flush=True)
    if not asked.quick:
        MEMORY.write_text(f"{state}\n{time.strftime('%Y-%m-%d %H:%M')}\n", encoding="utf-8")
    return 0


def tree_digest() -> str:
    """Changes with any file that git tracks or would track, the Python version, and whether real clips lie beside."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    content = hashlib.sha256(platform.python_version().encode())
    content.update(str((ROOT.parent / "shared" / "data").is_dir()).encode())
    content.update((ROOT / ".venv" / "dubflow-lock.sha256").read_bytes())
    for name in sorted(filter(None, listed.split(b"\0"))):
        path = ROOT / os.fsdecode(name)
        if path.is_file():
            content.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
