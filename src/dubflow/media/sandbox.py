"""Our side of the decoding process: one zygote a process, one forked and confined child a file.

The parent opens the file and hands the open descriptor over; the child can open nothing (see
:mod:`dubflow.media.confinement`). The parent keeps the wall time, checks every announced size before it sets memory
aside, and turns the child's end into a typed error. The zygote starts with the first use, takes about a third of a
second, and ends with its parent whatever way that ends; a file then costs a fork. Jobs may run at once, from threads
too.
"""

from __future__ import annotations

import atexit
import dataclasses
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn

from dubflow.errors import BadInput, DubflowError, OurFault, WrongUse
from dubflow.media import wire
from dubflow.media.limits import Limits

_START_S = 60.0
_END_S = 5.0
_STATUS_BYTES = 4
_RECEIVE_BUFFER = 2**20
_FAMILIES: dict[str, type[DubflowError]] = {"BadInput": BadInput, "WrongUse": WrongUse, "OurFault": OurFault}
# What the child needs from our environment: where its interpreter and libraries are, nothing else.
_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR")


class Sandbox:
    """A zygote and its control socket. Most callers use :func:`shared_sandbox`."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-P", "-m", "dubflow.media._zygote", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C goes to the parent, who ends the jobs
        )
        theirs.close()
        ours.settimeout(_START_S)
        try:
            ready = ours.recv(16)
        except TimeoutError:
            ready = b""
        if not ready:
            ours.close()
            self._process.kill()
            self._process.wait()
            raise OurFault(
                "media.no_reader",
                "The decoding process did not start.",
                "Run `dubflow doctor`; PyAV or soxr may be missing.",
            )
        ours.settimeout(None)
        self._control = ours
        self._jobs = itertools.count()
        self._lock = threading.Lock()

    @property
    def process_id(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the zygote still runs."""
        return self._process.poll() is None

    @contextmanager
    def job(
        self,
        task: str,
        file: BinaryIO,
        name: str,
        limits: Limits,
        arguments: dict[str, Any],
        further_files: tuple[int, ...] = (),
    ) -> Iterator[Job]:
        """Run ``task`` on an open file; ends the child when the block is left, however it is left."""
        answers, child_answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        status, child_status = os.pipe2(os.O_CLOEXEC)
        number, owner = next(self._jobs), os.getpid()
        request = {
            "job": number,
            "task": task,
            "name": name,
            "limits": dataclasses.asdict(limits),
            "arguments": arguments,
        }
        try:
            descriptors = [child_answers.fileno(), child_status, file.fileno(), *further_files]
            self._tell(request, descriptors)
        except BaseException:
            answers.close()
            os.close(status)
            raise
        finally:
            child_answers.close()
            os.close(child_status)
        job = Job(name, limits, answers, status)
        try:
            yield job
        finally:
            # A forked copy of us that leaves the block must not end the job of the original.
            if not job.over and os.getpid() == owner:
                self._kill(number)
                job.wait_for_end(_END_S)
            answers.close()
            os.close(status)

    def _tell(self, message: dict[str, Any], descriptors: list[int]) -> None:
        try:
            with self._lock:
                socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)
        except OSError as error:
            raise OurFault("media.no_reader", "The decoding process is gone.", "Run it again.") from error

    def _kill(self, number: int) -> None:
        try:
            self._tell({"kill": number}, [])
        except OurFault:
            return  # without a zygote its jobs are dead already

    def close(self) -> None:
        """End the zygote and everything it forked."""
        self._control.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Job:
    """One running child: its messages, under one budget of waiting time."""

    def __init__(self, name: str, limits: Limits, answers: socket.socket, status: int) -> None:
        self._name, self._limits, self._answers, self._status = name, limits, answers, status
        answers.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._waited = 0.0
        self._how: int | None = None

    @property
    def over(self) -> bool:
        """Whether the child is known to have ended."""
        return self._how is not None

    def messages(self) -> Iterator[wire.Header]:
        """Headers up to and with ``end``; the caller takes each one's payload with :meth:`take` before the next.

        Raises:
            DubflowError: what the child reported, or what its end means: ``media.too_slow``, ``media.memory``,
                ``media.crashed``.
        """
        try:
            while (header := wire.receive_header(self._receive)) is not None:
                if header.kind == "error":
                    self._raise_reported(header.fields)
                yield header
                if header.kind == "end":
                    self.wait_for_end(_END_S)
                    return
        except (wire.WireBroken, ConnectionError) as error:
            self._raise_for_end(error)
        self._raise_for_end(None)

    def take(self, header: wire.Header, target: memoryview) -> None:
        """Receive a message's payload into ``target``, which must have just its size."""
        if header.payload != len(target):
            self.misbehaved(f"{header.payload} bytes where {len(target)} were announced")
        try:
            wire.receive_into(self._receive, target)
        except (wire.WireBroken, ConnectionError) as error:
            self._raise_for_end(error)

    def misbehaved(self, what: str) -> NoReturn:
        """The child broke the protocol: a hostile file has taken it over, or it is our mistake."""
        raise BadInput(
            "media.crashed",
            f"The decoder lost its way on {self._name}: {what}.",
            "The file is broken or hostile; do not use it.",
        )

    def wait_for_end(self, seconds: float) -> None:
        """Wait until the child is gone, at most so long."""
        if self._how is None and select.select([self._status], [], [], seconds)[0]:
            self._how = int.from_bytes(os.read(self._status, _STATUS_BYTES), sys.byteorder, signed=True)

    def _receive(self, target: memoryview) -> int:
        remaining = self._limits.wall_s - self._waited
        if remaining <= 0:
            self._too_slow()
        self._answers.settimeout(remaining)
        started = time.monotonic()
        try:
            return self._answers.recv_into(target)
        except TimeoutError:
            self._too_slow()
        finally:
            # Only waiting counts: a caller who takes his time between chunks does not use up the file's.
            self._waited += time.monotonic() - started

    def _too_slow(self) -> NoReturn:
        raise BadInput(
            "media.too_slow",
            f"Reading {self._name} takes more than {self._limits.wall_s:g} s.",
            "Use a shorter or smaller clip, or raise the limit on wall time.",
            limit=self._limits.wall_s,
        )

    def _raise_reported(self, fields: dict[str, Any]) -> NoReturn:
        family = _FAMILIES.get(str(fields.get("family")))
        code = str(fields.get("code", ""))
        if family is None or not code.startswith("media."):
            self.misbehaved("an error of no known kind")
        details = fields.get("details")
        self.wait_for_end(_END_S)
        raise family(
            code,
            str(fields.get("headline", "")),
            str(fields.get("hint", "")),
            **({str(key): value for key, value in details.items()} if isinstance(details, dict) else {}),
        )

    def _raise_for_end(self, cause: BaseException | None) -> NoReturn:
        """The answers stopped before ``end``: say why the child is gone."""
        self.wait_for_end(_END_S)
        how = self._how
        if how is not None and os.WIFSIGNALED(how):
            number = os.WTERMSIG(how)
            if number == signal.SIGXCPU:
                self._too_slow()
            if number == signal.SIGKILL:
                raise BadInput(
                    "media.memory", f"The system ran out of memory reading {self._name}.", "Use a smaller clip."
                ) from cause
            raise BadInput(
                "media.crashed",
                f"The decoder crashed on {self._name} ({signal.Signals(number).name}).",
                "The file is broken or hostile; do not use it.",
                signal=number,
            ) from cause
        if how is None and cause is None:
            raise OurFault("media.no_reader", "The decoding process is gone.", "Run it again.")
        self.misbehaved("it stopped in the middle")


_shared: Sandbox | None = None
_shared_lock = threading.Lock()


def shared_sandbox() -> Sandbox:
    """This process's sandbox, started at the first call and again if it should have died."""
    global _shared
    with _shared_lock:
        if _shared is not None and not _shared.alive:
            _shared.close()
            _shared = None
        if _shared is None:
            _shared = Sandbox()
        return _shared


def _close_shared() -> None:
    global _shared
    if _shared is not None:
        _shared.close()
        _shared = None


def _forget_shared() -> None:
    # After a fork the socket is still the parent's; a second talker on it would mix up the jobs.
    global _shared, _shared_lock
    _shared, _shared_lock = None, threading.Lock()


atexit.register(_close_shared)
os.register_at_fork(after_in_child=_forget_shared)
