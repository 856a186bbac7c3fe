"""The caller's end of a zygote (``_zygote``): starts it, asks it, restarts it, ends it."""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dubflow.errors import OurFault

_ZYGOTE = Path(__file__).with_name("_zygote.py")
_START_S = 30.0
_GRACE_S = 5.0


class EngineProcess:
    """One zygote with its engine, started at the first request and again after it was lost.

    Safe for several threads (one request at a time). After a fork of this process the child starts a zygote of its own
    instead of talking over its parent's pipes.

    Args:
        name: of the engine, for messages. package: that brings it.
        command: gives the interpreter's flags, the engine's file and its arguments; asked when the zygote starts.
        timeout_s: wall time allowed for one job.

    Attributes:
        greeting: what the engine said of itself; empty before it was started.
    """

    def __init__(
        self, name: str, package: str, command: Callable[[], tuple[list[str], Path, list[str]]], timeout_s: float
    ) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self.greeting: dict[str, Any] = {}
        self._package = package
        self._command = command
        self._server: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def request(
        self, jobs: Sequence[dict[str, Any]], payloads: Sequence[bytes] | None = None
    ) -> list[tuple[dict[str, Any], bytes]]:
        """The answers to ``jobs``, in order; one whose header is not ``ok`` says what the ``problem`` was.

        Raises:
            OurFault: ``speech.engine_lost`` when the zygote itself died or did not answer,
                ``speech.engine_unavailable`` when it does not start.
        """
        data = payloads or [b""] * len(jobs)
        described = [
            {**job, "timeout_s": self.timeout_s, "bytes": len(own)} for job, own in zip(jobs, data, strict=True)
        ]
        header = json.dumps({"jobs": described}).encode("utf-8")
        body = b"".join([struct.pack("<IQ", len(header), sum(map(len, data))), header, *data])
        if self._owner != os.getpid():
            self._server, self._owner, self._lock = None, os.getpid(), threading.Lock()
        with self._lock:
            server = self._running()
            try:
                assert server.stdin is not None
                server.stdin.write(body)
                server.stdin.flush()
                return [_answer(server, self.timeout_s + _GRACE_S) for _ in jobs]
            except (OSError, EOFError, TimeoutError) as error:
                self._end()
                raise OurFault(
                    "speech.engine_lost",
                    f"The {self.name} process was lost while it worked ({error or type(error).__name__}).",
                    "Try again; a new process is started by itself.",
                ) from error
            except BaseException:  # Ctrl-C in the middle of an answer: the rest of it must not meet the next request
                self._end()
                raise

    def close(self) -> None:
        """End the process; a later request starts a new one."""
        if self._owner != os.getpid():
            return
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._server is not None and self._server.poll() is None:
            return self._server
        self._end()
        flags, engine, arguments = self._command()
        self._server = subprocess.Popen(
            [sys.executable, *flags, str(_ZYGOTE), str(engine), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            hello, _ = _answer(self._server, _START_S)
            problem = "" if hello["ok"] else hello["problem"]
        except (OSError, EOFError, TimeoutError) as error:
            problem = str(error) or type(error).__name__
        if problem:
            self._end()
            raise OurFault(
                "speech.engine_unavailable",
                f"{self.name} does not start: {problem}.",
                f"Reinstall its package: pip install --force-reinstall {self._package}.",
            )
        self.greeting = hello
        return self._server

    def _end(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        for stream in (server.stdin, server.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # what was still buffered for a dead process
        server.kill()
        server.wait()


def _answer(server: subprocess.Popen[bytes], timeout_s: float) -> tuple[dict[str, Any], bytes]:
    deadline = time.monotonic() + timeout_s
    header_size, payload_size = struct.unpack("<IQ", _read(server, 12, deadline))
    header: dict[str, Any] = json.loads(_read(server, header_size, deadline))
    return header, _read(server, payload_size, deadline)


def _read(server: subprocess.Popen[bytes], count: int, deadline: float) -> bytes:
    # Unbuffered reads on the descriptor: select would not see what a buffered reader already holds.
    assert server.stdout is not None
    pipe = server.stdout.fileno()
    parts: list[bytes] = []
    while count > 0:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise TimeoutError("no answer in time")
        part = os.read(pipe, min(count, 1 << 20))
        if not part:
            raise EOFError("the process ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
