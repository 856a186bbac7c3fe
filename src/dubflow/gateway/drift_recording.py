"""Measures finished jobs for drift, after their results are out and not too often: nobody waits for it."""

from __future__ import annotations

import ctypes
import logging
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import DubflowError
from dubflow.gateway.drift import DriftReference, add_measured, read_reference
from dubflow.gateway.drift_measuring import measure
from dubflow.gateway.jobs.request import JobRequest, StockVoice
from dubflow.gateway.jobs.result import JobResult
from dubflow.media.decode import read_audio
from dubflow.serving.state import read_state
from dubflow.speech.durations import SAMPLE_RATE
from dubflow.storage import Objects

EVERY_S = 10.0
"""At most one clip of a worker in so many seconds: what drifts does so over days."""
_MOST_SAMPLES = 15 * SAMPLE_RATE

_log = logging.getLogger("dubflow.gateway.drift")


def _give_back_memory() -> None:
    """Free pages go to the system: graphs of MediaPipe that come and go otherwise leave some MiB more each time."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


class DriftRecorder:
    """Of one worker.

    Args:
        state: folder of the serving state. every_s: least time between two clips.
    """

    def __init__(self, state: Path, every_s: float = EVERY_S) -> None:
        self.state, self.every_s = state, every_s
        self._next = 0.0
        self._known: tuple[Path, DriftReference | None] | None = None

    def record(self, request: JobRequest, result: JobResult, objects: Objects, scratch: Path) -> bool:
        """Measure a finished job; whether it was. Never raises: drift is worth no job.

        Args:
            scratch: where files of the storage may be copied to.
        """
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self.every_s
        try:
            reference = self._reference(result.engine)
            if reference is None:
                return False
            scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                clip = objects.local(request.clip, Path(folder))
                found = measure(
                    reference,
                    model=result.engine,
                    language=result.language,
                    clip=clip,
                    voice=self._voice(request, clip, objects, Path(folder)),
                    segments=[(one.phones, one.end - one.start) for one in result.segments],
                )
            add_measured(self.state, found)
        except DubflowError as error:
            _log.warning("a clip was not measured for drift", extra={"code": error.code})
            return False
        except Exception:
            _log.exception("measuring for drift failed")
            return False
        finally:
            _give_back_memory()
        return True

    def _voice(self, request: JobRequest, clip: Path, objects: Objects, scratch: Path) -> NDArray[np.float32] | None:
        """What came in as a voice; a stock voice did not come in."""
        if isinstance(request.voice, StockVoice):
            return None
        key = request.reference_key
        return read_audio(clip if key is None else objects.local(key, scratch), SAMPLE_RATE)[:_MOST_SAMPLES]

    def _reference(self, engine: str) -> DriftReference | None:
        served = read_state(self.state)
        for one in (served.current, served.previous):
            if one is not None and one.engine == engine:
                if self._known is None or self._known[0] != one.folder:
                    self._known = one.folder, read_reference(one.folder)
                return self._known[1]
        return None
