"""What a decoding process gives up before it touches an untrusted file.

It can open nothing (no descriptor number is left: no file, no socket, no pipe), write nothing but what it was handed,
use only so much address space and processor time, leaves no core file, and ends with whoever started it.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_LIBC = ctypes.CDLL(None, use_errno=True)


def end_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends; ends at once when it already has."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def confine(*, memory: int, cpu_s: float, written: int) -> None:
    """Give up everything but computing on the descriptors that are open already.

    Args:
        memory: bytes of address space. cpu_s: seconds of processor time. written: largest file it may write, in bytes.
    """
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    seconds = math.ceil(cpu_s)
    # The soft limit ends with SIGXCPU, which says why; the hard one, a second later, with SIGKILL.
    _limit(resource.RLIMIT_CPU, seconds, seconds + 1)
    _limit(resource.RLIMIT_AS, memory, memory)
    _limit(resource.RLIMIT_FSIZE, written, written)
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_NOFILE, 0, 0)


def _limit(kind: int, soft: int, hard: int) -> None:
    # A stricter limit that is already in force may not be raised.
    ceiling = resource.getrlimit(kind)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(kind, (soft, hard))
