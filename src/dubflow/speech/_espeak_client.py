"""The caller's end of the clean espeak-ng process: starts it, asks it, restarts it, ends it."""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dubflow.errors import OurFault
from dubflow.speech.voices import espeak_paths

_SERVER = Path(__file__).with_name("_espeak_server.py")
_START_S = 30.0
_GRACE_S = 5.0


class EspeakProcess:
    """One server process, started at the first request and again after it was lost.

    Safe for several threads (one request at a time). After a fork of this process the child starts a server of its
    own instead of talking over its parent's pipes.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.sample_rate = 0
        self.version = ""
        self._server: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def request(self, jobs: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], bytes]]:
        """The answers to ``jobs``, in order.

        Raises:
            OurFault: ``speech.synthesis_failed`` when the engine crashed on a job or took too long;
                ``speech.engine_unavailable`` when it does not start.
        """
        if self._owner != os.getpid():
            self._server, self._owner, self._lock = None, os.getpid(), threading.Lock()
        with self._lock:
            server = self._running()
            body = json.dumps({"jobs": [{**job, "timeout_s": self.timeout_s} for job in jobs]}).encode("utf-8")
            try:
                assert server.stdin is not None
                server.stdin.write(struct.pack("<I", len(body)) + body)
                server.stdin.flush()
                answers = [self._answer(server, self.timeout_s + _GRACE_S) for _ in jobs]
            except (OSError, EOFError, TimeoutError) as error:
                self._end()
                raise OurFault(
                    "speech.synthesis_failed",
                    f"The espeak-ng process was lost while it spoke ({error or type(error).__name__}).",
                    "Try again; a new process is started by itself.",
                ) from error
            except BaseException:  # Ctrl-C in the middle of an answer: the rest of it must not meet the next request
                self._end()
                raise
        for job, (header, _) in zip(jobs, answers, strict=True):
            if not header["ok"]:
                said = str(job.get("text", job.get("words", "")))[:80]
                raise OurFault(
                    "speech.synthesis_failed",
                    f"espeak-ng could not speak {said!r}: {header['problem']}.",
                    "Try a shorter or simpler text; report the text if it is an ordinary one.",
                    voice=job.get("voice", ""),
                )
        return answers

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
        library, data = espeak_paths()
        self._server = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SERVER), str(library), str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            hello, _ = self._answer(self._server, _START_S)
            problem = "" if hello["ok"] else hello["problem"]
        except (OSError, EOFError, TimeoutError) as error:
            problem = str(error) or type(error).__name__
        if problem:
            self._end()
            raise OurFault(
                "speech.engine_unavailable",
                f"espeak-ng does not start: {problem}.",
                "Reinstall its package: pip install --force-reinstall espeakng-loader.",
            )
        self.sample_rate, self.version = hello["sample_rate"], hello["version"]
        return self._server

    def _answer(self, server: subprocess.Popen[bytes], timeout_s: float) -> tuple[dict[str, Any], bytes]:
        deadline = time.monotonic() + timeout_s
        header_size, payload_size = struct.unpack("<IQ", _read(server, 12, deadline))
        header: dict[str, Any] = json.loads(_read(server, header_size, deadline))
        return header, _read(server, payload_size, deadline)

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
