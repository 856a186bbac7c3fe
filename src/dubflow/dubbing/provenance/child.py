"""Runs :mod:`dubflow.dubbing.provenance._child` for one file: bounded in memory, processor time and wall time."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from dubflow.dubbing.provenance.certificates import Signer
from dubflow.errors import OurFault, missing_extra
from dubflow.media.limits import default_limits
from dubflow.media.opening import open_regular

_MEMORY = 3 * 2**30
_CPU_S = 120.0
_WALL_S = 240.0
_ROOM = 2**24
_ANSWERS = 3  # of one task: what is to be signed, and what came of it
_KEPT = ("LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR")


def available() -> bool:
    """Whether the library that reads and writes manifests is installed."""
    return importlib.util.find_spec("c2pa") is not None


def run_child(task: dict[str, Any], files: dict[str, tuple[Path, str]], signer: Signer | None = None) -> dict[str, Any]:
    """Do ``task`` with ``files`` (name to path and mode: ``rb`` or ``w+b``).

    Returns:
        What the child answers: ``{"done": ...}`` or ``{"refused": name of the error, "why": text}``.

    Raises:
        WrongUse: ``install.missing_extra``. OurFault: ``dubbing.provenance_child`` when the process failed.
        BadInput: what opening a file says (``media.missing``, ``media.not_a_file``, …).
    """
    if not available():
        raise missing_extra("c2pa")
    with contextlib.ExitStack() as stack:
        opened = {
            name: stack.enter_context(
                open_regular(path, default_limits()) if mode == "rb" else path.open(mode)
            ).fileno()
            for name, (path, mode) in files.items()
        }
        largest = max(os.fstat(number).st_size for number in opened.values())
        task = task | {
            "parent": os.getpid(),
            "files": {name: (number, files[name][1]) for name, number in opened.items()},
            "memory": _MEMORY,
            "cpu_s": _CPU_S,
            "written": largest + _ROOM,
        }
        return _run(task, tuple(opened.values()), signer)


def _run(task: dict[str, Any], numbers: tuple[int, ...], signer: Signer | None) -> dict[str, Any]:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "dubflow.dubbing.provenance._child"],
        pass_fds=numbers,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    overdue = threading.Timer(_WALL_S, process.kill)
    overdue.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        _tell(process.stdin, task)
        for _ in range(_ANSWERS):
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            if "sign" not in answer:
                return answer
            if signer is None:
                break
            _tell(process.stdin, {"signature": signer.sign(bytes.fromhex(answer["sign"])).hex()})
    except (OSError, ValueError, RecursionError) as error:
        raise _failed(process) from error
    finally:
        overdue.cancel()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                _close(stream)
    raise _failed(process)


def _tell(stream: Any, content: dict[str, Any]) -> None:
    stream.write(json.dumps(content).encode() + b"\n")
    stream.flush()


def _close(stream: Any) -> None:
    with contextlib.suppress(OSError):  # the other end went first
        stream.close()


def _failed(process: subprocess.Popen[bytes]) -> OurFault:
    return OurFault(
        "dubbing.provenance_child",
        f"The process that handles manifests ended with {process.poll()} and no answer.",
        "Run it again; if it persists, the file is larger or stranger than our limits allow.",
    )
