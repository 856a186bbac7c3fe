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
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
MEMORY = ROOT / ".venv" / "dubflow-tested.txt"


def steps(quick: bool) -> list[tuple[str, list[str]]]:
    """What is run, in this order: cheap and telling first."""
    # A file's tests one after the other: they share what they start, and slow ones kill and train.
    pytest = [str(BIN / "pytest"), "-n", str(len(os.sched_getaffinity(0))), "--dist", "loadfile"]
    checks = [
        ("format", [str(BIN / "ruff"), "format", "--check", "-q"]),
        ("lint", [str(BIN / "ruff"), "check", "-q"]),
        ("arrows between rooms", [str(BIN / "lint-imports"), "--no-logo"]),
        ("types", [str(BIN / "mypy")]),
        ("quick tests", [*pytest, "-m", "not slow"]),
    ]
    if not quick:
        checks.append(("slow tests", [*pytest, "-m", "slow", "--durations=5"]))
    return checks


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="leave the slow tests out")
    arguments.add_argument("--again", action="store_true", help="run even if nothing has changed since the last pass")
    asked = arguments.parse_args()
    state = tree_digest()
    if not asked.quick and not asked.again and MEMORY.is_file():
        remembered, _, when = MEMORY.read_text(encoding="utf-8").strip().partition("\n")
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
    # Not if a file was edited meanwhile: nobody can tell which of the two was tested.
    if not asked.quick and tree_digest() == state:
        MEMORY.write_text(f"{state}\n{time.strftime('%Y-%m-%d %H:%M')}\n", encoding="utf-8")
    return 0


def tree_digest() -> str:
    """Changes with any file that git tracks or would track, what is installed, and the real clips that lie beside."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    content = hashlib.sha256(platform.python_version().encode())
    clips = ROOT.parent / "shared" / "data"
    for path in sorted(clips.rglob("*")):
        facts = path.lstat()
        size = 0 if path.is_dir() else facts.st_size
        content.update(f"{path.relative_to(clips)}\0{size}\0{facts.st_mtime_ns}\0".encode(errors="surrogateescape"))
    for installed in sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info")):
        content.update(f"{installed}\0".encode())
    for name in sorted(filter(None, listed.split(b"\0"))):
        path = ROOT / os.fsdecode(name)
        if path.is_file():
            content.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
