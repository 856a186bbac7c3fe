"""Outputs appear whole or not at all: write beside the target, then rename.

A rename within one file system is atomic, so a reader (or a second run after ``kill -9`` or Ctrl-C) sees either the
old thing or the finished new one. Left-overs of killed runs carry a recognisable suffix and are swept by the next run
(:func:`sweep`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTIAL = ".partial"
_LEFT_OVER = re.compile(rf"\..*\.[0-9a-f]{{8}}{re.escape(PARTIAL)}(\..*)?", re.DOTALL)


def _partial(target: Path) -> Path:
    # The target's own suffix stays last, so that muxers that choose a format by suffix still do.
    return target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}{PARTIAL}{target.suffix}")


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target``; on a clean exit it is flushed and becomes ``target``, else it is removed."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _partial(target)
    try:
        yield part
        with open(part, "rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_dir(target: Path) -> Iterator[Path]:
    """Like :func:`atomic_file` for a folder. ``target`` must not exist yet."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _partial(target)
    part.mkdir()
    try:
        yield part
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``target``, whole or not at all."""
    with atomic_file(target) as part:
        part.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, so that equal values give equal bytes."""
    write_text(target, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def sweep(folder: Path, *, older_than_s: float = 3600.0) -> list[Path]:
    """Remove partial outputs below ``folder`` that killed runs left behind; returns what was removed.

    A partial file younger than ``older_than_s`` may belong to another run that is still writing, and stays.
    """
    removed: list[Path] = []
    cutoff = time.time() - older_than_s
    for path in sorted(Path(folder).rglob(f".*{PARTIAL}*")):
        # The name in full: a hidden file of somebody else may have the suffix in its name as well.
        if not _LEFT_OVER.fullmatch(path.name) or not path.exists() or path.stat().st_mtime > cutoff:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path)
    return removed
