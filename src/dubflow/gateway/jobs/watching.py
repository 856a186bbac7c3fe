"""The heart of a job that is being done: renews its lease, tells how far it is, hears that it should end.

All of that happens in a thread of its own, so the work never waits for the database. A database that does not answer
stops nothing: the work goes on, and whether the job is still this worker's shows when it answers again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from dubflow.dubbing.watching import Stage
from dubflow.errors import DubflowError
from dubflow.gateway.jobs.queue import Beat, JobQueue, Lease

Why = Literal["", "cancelled", "lost", "drained", "refused"]

LOOK_S = 0.1
"""Between two looks whether the job should end; a cancel is seen within this and one read."""
_REPORT_S = 0.5
_CHECK_S = 1.0
_PATIENCE_S = 0.5
_TRUSTED_SHARE = 0.15

_log = logging.getLogger("dubflow.gateway.worker")


class LeaseWatch:
    """Watches one leased job; a context manager, and a :class:`dubflow.dubbing.watching.Watch`.

    Args:
        draining: whether this worker has to let go of its job now. told: hears of every stage that ended, with seconds.

    Attributes:
        check: raises when the job may not go on (consent was taken back); set once the voice is known.
        why: why the work should stop; empty while it should not. refusal: the error of *refused*.
    """

    def __init__(
        self,
        queue: JobQueue,
        lease: Lease,
        *,
        draining: Callable[[], bool] = lambda: False,
        told: Callable[[str, float], None] = lambda stage, seconds: None,
    ) -> None:
        self._queue, self._lease, self._draining, self._told = queue, lease, draining, told
        self.check: Callable[[], None] | None = None
        self.why: Why = ""
        self.refusal: DubflowError | None = None
        self._lock = threading.Lock()
        self._stage, self._share = "waiting", 0.0
        self.began = self._entered = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def __enter__(self) -> LeaseWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._leave()

    def stage(self, stage: Stage, share: float) -> None:
        """See :class:`dubflow.dubbing.watching.Watch`."""
        with self._lock:
            if stage != self._stage:
                self._leave()
                self._stage, self._entered = stage, time.monotonic()
            self._share = max(self._share, min(1.0, share))

    def stopped(self) -> bool:
        """See :class:`dubflow.dubbing.watching.Watch`."""
        return bool(self.why)

    def estimate_s(self, share: float, elapsed: float) -> float | None:
        """Seconds left: at first what finished jobs say, later this one's own pace."""
        if share >= _TRUSTED_SHARE:
            return elapsed / share * (1 - share)
        if self._lease.pace is None or self._lease.clip_s is None:
            return None
        return max(0.0, self._lease.pace * self._lease.clip_s - elapsed)

    def _leave(self) -> None:
        if self._stage != "waiting":
            self._told(self._stage, time.monotonic() - self._entered)

    def _run(self) -> None:
        renewed = reported = checked = time.monotonic()
        last, away = ("waiting", 0.0), False
        while not self._ended.wait(LOOK_S):
            now = time.monotonic()
            with self._lock:
                present = (self._stage, self._share)
            if self._draining():
                self._stop("drained")
            try:
                if present[0] != last[0] or (present != last and now - reported >= _REPORT_S):
                    beat = self._report(present, now)
                    renewed = reported = now
                    last = present
                elif now - renewed >= self._queue.lease_s / 3:
                    beat = self._queue.beat(self._lease, patience_s=_PATIENCE_S)
                    renewed = now
                else:
                    beat = self._queue.listen(self._lease)
                away = False
                if not beat.held:
                    self._stop("lost")
                elif beat.cancelled:
                    self._stop("cancelled")
                if self.check is not None and now - checked >= _CHECK_S:
                    checked = now
                    self.check()
            except DubflowError as error:
                if error.retryable:
                    if not away:
                        _log.warning("the database does not answer", extra={"code": error.code})
                    away = True
                    continue
                self.refusal = self.refusal or error
                self._stop("refused")
            except Exception:
                # Whatever it is, a heart that stops would cost the job its lease without a word.
                _log.exception("a look at the job failed", extra={"job_id": self._lease.job.id})

    def _report(self, present: tuple[str, float], now: float) -> Beat:
        stage, share = present
        left = self.estimate_s(share, now - self.began)
        return self._queue.report(self._lease, stage, 100 * share, left, patience_s=_PATIENCE_S)

    def _stop(self, why: Why) -> None:
        self.why = self.why or why
