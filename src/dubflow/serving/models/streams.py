"""A job's stream of answers: stages while it runs, then its segments or the error that ended it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from dubflow.dubbing.engine import SpokenSegment
from dubflow.dubbing.watching import Stage
from dubflow.errors import DubflowError
from dubflow.serving.models.parts import STUB_LOCK
from dubflow.serving.slips import Slip
from dubflow.serving.wire import error_facts, json_bytes

_LOOK_S = 0.05
_LEAST_SHARE = 0.01
_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class Stream:
    """Answers of one request; also a :class:`~dubflow.dubbing.watching.Watch` of its job, by its slip."""

    def __init__(self, sender: Any, slip: Slip) -> None:
        self._sender, self.slip = sender, slip
        self._lock = threading.Lock()
        self._window: tuple[Stage, float, float] = ("looking", 0.0, 0.0)
        self._told = ("", -1.0)

    def part(self, stage: Stage, start: float, stop: float) -> None:
        """From now on the slip's share is that of ``start`` to ``stop`` of the whole, in ``stage``."""
        self.slip.share = 0.0
        self._window = (stage, start, stop)
        self.tell()

    def stage(self, stage: Stage, share: float) -> None:
        """See :class:`dubflow.dubbing.watching.Watch`."""
        self._window = (stage, share, share)
        self.tell()

    def stopped(self) -> bool:
        """See :class:`dubflow.dubbing.watching.Watch`."""
        return self.slip.cancelled

    def tell(self) -> None:
        """Send stage and share, where they have changed."""
        stage, start, stop = self._window
        share = start + (stop - start) * self.slip.share
        with self._lock:
            if stage == self._told[0] and share < self._told[1] + _LEAST_SHARE:
                return
            self._told = (stage, share)
            self._send({"stage": stage, "share": share})

    def segment(self, number: int, spoken: SpokenSegment) -> None:
        """Send a segment."""
        facts = {
            "segment": number,
            "planned": spoken.planned,
            "face_found": spoken.face_found,
            "notices": spoken.notices,
        }
        with self._lock:
            self._send(facts, spoken.waveform)

    def failed(self, error: DubflowError) -> None:
        """Send the error that ended the job."""
        with self._lock:
            self._send(error_facts(error))

    def end(self) -> None:
        """Nothing follows."""
        with self._lock:
            self._sender.send(flags=_FINAL)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """While the block runs, progress is sent, and the slip learns within 50 ms that the client is gone."""
        over = threading.Event()

        def follow() -> None:
            while not over.wait(_LOOK_S):
                with STUB_LOCK:
                    gone = self._sender.is_cancelled()
                if gone:
                    self.slip.cancel()
                    return
                self.tell()

        thread = threading.Thread(target=follow, name="follow", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _send(self, facts: dict[str, Any], waveform: NDArray[np.float32] | None = None) -> None:
        send_event(self._sender, facts, waveform)


def send_event(sender: Any, facts: dict[str, Any], waveform: NDArray[np.float32] | None = None) -> None:
    """One answer of a request."""
    sound = np.zeros(0, np.float32) if waveform is None else waveform
    tensors = [pb_utils.Tensor("EVENT", json_bytes(facts)), pb_utils.Tensor("WAVEFORM", sound)]
    sender.send(pb_utils.InferenceResponse(tensors))
