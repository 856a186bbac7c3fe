"""A clean process that starts an engine once and forks a child for every job.

Two speech engines need it. espeak-ng keeps state from one utterance to the next, PocketSphinx may die on a bad word: a
child forked from the freshly started engine begins from the same state every time, and takes nobody along when it
crashes. This file runs by its path on the standard library alone, so that the image to fork is small, and loads the
engine from the file named first on its command line.

Protocol over standard input and output; a frame is 4 bytes length, 8 bytes length, JSON, raw bytes. A request carries
``{"jobs": [...]}``, each job with its ``op``, its ``timeout_s`` and how many ``bytes`` of the payload are its own; each
job gets one frame in answer. The first frame, unasked, says whether the engine came up. End of input ends the process.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
CHILD_BYTES = 2 << 30

Actions = dict[str, Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]]


def _frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    text = json.dumps(header).encode("utf-8")
    return struct.pack("<IQ", len(text), len(payload)) + text + payload


def _in_child(actions: Actions, job: dict[str, Any], payload: bytes, write_end: int) -> None:
    """Runs in the forked child and never returns."""
    status = 1
    try:
        # The child must not outlive a server that was killed, nor grow without bound, nor leave a core file.
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
        try:
            answer = _frame(*actions[job["op"]](job, payload))
        except (RuntimeError, ValueError) as error:
            answer = _frame({"ok": False, "problem": str(error)})
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(answer)
        status = 0
    finally:
        os._exit(status)


def _read_until(pipe: int, deadline: float) -> bytes | None:
    """All bytes until the writer closes; None when the time is over or nobody waits for them any more."""
    parts: list[bytes] = []
    while True:
        left = deadline - time.monotonic()
        ready = select.select([pipe, 0], [], [], max(0.0, left))[0]
        # The parent sends nothing while it waits for an answer: input that is ready has ended.
        if left <= 0 or 0 in ready:
            return None
        if not ready:
            continue
        part = os.read(pipe, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _answer(actions: Actions, job: dict[str, Any], payload: bytes) -> bytes:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _in_child(actions, job, payload, write_end)
    os.close(write_end)
    try:
        answer = _read_until(read_end, time.monotonic() + job["timeout_s"])
    finally:
        os.close(read_end)
    if answer is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if answer is None:
        return _frame({"ok": False, "problem": f"it took longer than {job['timeout_s']} s"})
    if os.WIFSIGNALED(status):
        return _frame({"ok": False, "problem": f"the engine died of {signal.Signals(os.WTERMSIG(status)).name}"})
    if os.WEXITSTATUS(status) != 0:
        return _frame({"ok": False, "problem": "the engine broke down"})
    return answer


def _exactly(stream: BinaryIO, count: int) -> bytes | None:
    data = stream.read(count)
    return data if len(data) == count else None


def _load(engine_file: str) -> Any:
    spec = importlib.util.spec_from_file_location("engine", engine_file)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{engine_file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def serve(engine_file: str, arguments: list[str]) -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it ends us
    stdin = sys.stdin.buffer
    # Engines print to standard output; frames go to a descriptor that they do not know.
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        greeting, actions = _load(engine_file).start(arguments)
    except Exception as error:
        stdout.write(_frame({"ok": False, "problem": f"{type(error).__name__}: {error}"}))
        stdout.flush()
        return
    stdout.write(_frame({"ok": True, **greeting}))
    stdout.flush()
    while (request := _request(stdin)) is not None:
        jobs, payload = request
        used = 0
        for job in jobs:
            own = payload[used : used + job["bytes"]]
            used += job["bytes"]
            try:
                stdout.write(_answer(actions, job, own))
                stdout.flush()
            except BrokenPipeError:
                os._exit(0)  # the parent is gone; an orderly exit would only stumble over the same pipe


def _request(stdin: BinaryIO) -> tuple[list[dict[str, Any]], bytes] | None:
    head = _exactly(stdin, 12)
    if head is None:
        return None
    header_size, payload_size = struct.unpack("<IQ", head)
    header = _exactly(stdin, header_size)
    payload = _exactly(stdin, payload_size)
    if header is None or payload is None:
        return None
    return json.loads(header)["jobs"], payload


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
