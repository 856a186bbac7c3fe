"""A slip follows a job through the processes of the server: one writes that it is cancelled, one how far it is.

Calls between models of one server have neither progress nor cancellation; a file of nine bytes has both. Each byte has
one writer.
"""

from __future__ import annotations

import math
import os
import struct
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Self

from dubflow.dubbing.watching import Stage

_SHARE = struct.Struct("<d")
_CANCELLED, _SHARE_AT = 0, 1


class Slip:
    """The slip of one job, open here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    @classmethod
    def made(cls, folder: Path, version: int = 0) -> Self:
        """A new slip in a folder, of a job of a version (by Triton's number)."""
        path = folder / f"{version}-{uuid.uuid4().hex}"
        path.write_bytes(bytes(_SHARE_AT + _SHARE.size))
        return cls(path)

    def cancel(self) -> None:
        """Nobody wants the job any more."""
        os.pwrite(self._handle, b"\1", _CANCELLED)

    @property
    def cancelled(self) -> bool:
        """Whether somebody said so."""
        return os.pread(self._handle, 1, _CANCELLED) != b"\0"

    @property
    def share(self) -> float:
        """How much of the present step is done, 0 to 1."""
        return float(_SHARE.unpack(os.pread(self._handle, _SHARE.size, _SHARE_AT))[0])

    @share.setter
    def share(self, value: float) -> None:
        os.pwrite(self._handle, _SHARE.pack(value), _SHARE_AT)

    def close(self) -> None:
        """Close it here."""
        os.close(self._handle)

    def remove(self) -> None:
        """Close it and remove the file; processes that have it open keep what they have."""
        self.path.unlink(missing_ok=True)
        self.close()


class SlipWatch:
    """Watches a step by its job's slip."""

    def __init__(self, slip: Slip) -> None:
        self._slip = slip

    def stage(self, stage: Stage, share: float) -> None:
        """See :class:`dubflow.dubbing.watching.Watch`."""
        self._slip.share = share

    def stopped(self) -> bool:
        """See :class:`dubflow.dubbing.watching.Watch`."""
        return self._slip.cancelled


def sweep_slips(folder: Path, version: int | None = None, until: float = math.inf) -> None:
    """Remove the slips of a server or of a version that is gone; those last written to until then, in epoch seconds."""
    for path in folder.glob("*" if version is None else f"{version}-*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime <= until:
                path.unlink()


def waiting_since(folder: Path, version: int) -> float | None:
    """For how many seconds no job of a version has advanced; None where it has no job."""
    last = None
    for path in folder.glob(f"{version}-*"):
        with suppress(FileNotFoundError):
            last = max(last or 0.0, path.stat().st_mtime)
    return None if last is None else max(0.0, time.time() - last)
