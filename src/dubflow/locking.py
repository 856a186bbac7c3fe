"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dubflow.errors import DubflowError

LOCK = ".lock"
_LOOK_S = 0.05


@contextmanager
def alone_in(folder: Path, refusal: DubflowError, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the folder's lock, making the folder first; the system releases it when this process ends, however it ends.

    Args:
        patience_s: how long to wait for another process that holds it, such as one that is ending.

    Raises:
        DubflowError: ``refusal``, when another process holds it still.
    """
    until = time.monotonic() + patience_s
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= until:
                    raise refusal from error
                time.sleep(_LOOK_S)
        yield
    finally:
        os.close(handle)
