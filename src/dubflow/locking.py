"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dubflow.errors import WrongUse

LOCK = ".lock"


@contextmanager
def alone_in(folder: Path, refusal: WrongUse) -> Iterator[None]:
    """Hold the folder's lock, making the folder first; the system releases it when this process ends, however it ends.

    Raises:
        WrongUse: ``refusal``, when another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise refusal from error
        yield
    finally:
        os.close(handle)
