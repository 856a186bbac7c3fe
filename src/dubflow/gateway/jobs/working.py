"""A worker's loop: a job is leased, done, and ended; whatever happens in between, the queue hears how it went."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from dubflow.errors import DubflowError, OurFault
from dubflow.gateway.drift_recording import DriftRecorder
from dubflow.gateway.errors import disk_full, fault_of
from dubflow.gateway.jobs.doing import Speaker, Tools, do_job
from dubflow.gateway.jobs.queue import Ending, JobQueue, Lease
from dubflow.gateway.jobs.watching import LeaseWatch
from dubflow.gateway.metrics import Meters
from dubflow.gateway.tracing import Trace, past_span, span, trace_from

IDLE_S = 0.25
"""Between two looks into an empty queue."""
_WITHOUT_ENGINE_S = 1.0

_log = logging.getLogger("dubflow.gateway.worker")


class Worker:
    """Takes jobs and does them, until it is told to stop.

    Args:
        tools: what jobs are done with. queue: where they come from. scratch: a folder of this worker's own.
        drain_s: how long a job that runs may still take once :meth:`drain` was called.
    """

    def __init__(
        self,
        tools: Tools,
        queue: JobQueue,
        scratch: Path,
        *,
        name: str | None = None,
        drain_s: float = 30.0,
        meters: Meters | None = None,
    ) -> None:
        self.tools, self.queue, self.scratch, self.drain_s = tools, queue, scratch, drain_s
        self.name = name or f"{socket.gethostname()[:40]}-{os.getpid()}"
        self.meters = meters or Meters("worker")
        self.drift = DriftRecorder(tools.settings.state)
        self.stopping = threading.Event()
        self._let_go_at: float | None = None
        self._doubted = False

    def drain(self, *, now: bool = False) -> None:
        """Take no more jobs; let go of one that runs when its time is over, or ``now``."""
        until = time.monotonic() + (0.0 if now else self.drain_s)
        self._let_go_at = until if self._let_go_at is None else min(self._let_go_at, until)
        self.stopping.set()

    def run(self, *, once: bool = False) -> int:
        """Do jobs until drained, or with ``once`` until none is due; how many attempts were made."""
        attempts = 0
        self.scratch.mkdir(parents=True, exist_ok=True)
        while not self.stopping.is_set():
            try:
                taken = self._take()
            except DubflowError as error:
                _log.warning("no job can be taken", extra={"code": error.code, "worker": self.name})
                self.stopping.wait(_WITHOUT_ENGINE_S)
                continue
            except Exception:
                _log.exception("no job can be taken, for no known reason", extra={"worker": self.name})
                self.stopping.wait(_WITHOUT_ENGINE_S)
                continue
            if taken is None:
                if once:
                    break
                self.stopping.wait(IDLE_S)
                continue
            attempts += 1
            self._do(*taken)
        return attempts

    def _take(self) -> tuple[Lease, Speaker] | None:
        """Room and the engine first: a job that cannot be done now stays in the queue, and no try is lost."""
        if not self.queue.anything():
            return None
        settings = self.tools.settings
        if shutil.disk_usage(self.scratch).free < settings.spare_bytes:
            raise disk_full()
        speaker = self.tools.speaker()
        if self._doubted and speaker.proof is not None:
            # One job was lost to a server that is not well: the others wait until it is, and lose no try.
            speaker.proof()
        self._doubted = False
        lease = self.queue.lease(self.name)
        return None if lease is None else (lease, speaker)

    def _do(self, lease: Lease, speaker: Speaker) -> None:
        job, began = lease.job, time.monotonic()
        facts = {"job_id": job.id, "attempt": lease.fence, "worker": self.name, "tenant": job.tenant}
        with span("dub", trace_from(job.trace_id), **{"dubflow.job_id": job.id}) as trace:
            facts["trace_id"] = trace.trace_id
            if job.attempts == 1:
                self.meters.observe("dubflow_job_wait_seconds", max(0.0, time.time() - job.created.timestamp()))
            _log.info("job taken", extra=facts)
            code: str | None = None
            try:
                ending, code = self._tried(lease, speaker, trace)
                if ending != "done":
                    self._tidy(lease)
            except DubflowError as error:
                # The database stayed away for long, and nobody knows whether it heard us: the files stay. If it did
                # not, the lease ends by itself, and they are doomed then.
                ending, code = "lost", error.code
            self._doubted = code is not None and code.startswith("serving.")
            seconds = time.monotonic() - began
            self.meters.count("dubflow_job_attempts_total", trace=trace.trace_id, outcome=ending)
            self.meters.observe("dubflow_job_seconds", seconds, trace=trace.trace_id, outcome=ending)
            _log.info("job left", extra={**facts, "state": ending, "seconds": seconds, "code": code})

    def _tried(self, lease: Lease, speaker: Speaker, place: Trace) -> tuple[Ending, str | None]:
        trace = place.trace_id

        def told(stage: str, seconds: float) -> None:
            past_span(stage, place, seconds)
            self.meters.observe("dubflow_engine_stage_seconds", seconds, trace=trace, stage=stage)

        folder = self.scratch / f"{lease.job.id}-{lease.fence}"
        with LeaseWatch(self.queue, lease, draining=self._letting_go, told=told) as watch:
            try:
                folder.mkdir(parents=True)
                result = do_job(lease, speaker, self.tools, watch, folder)
            except DubflowError as error:
                return self._ended_badly(lease, watch, error), error.code
            except Exception as error:
                _log.exception("a job failed for no known reason", extra={"job_id": lease.job.id})
                fault = _unknown(error)
                return self._ended_badly(lease, watch, fault), fault.code
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            ending = self.queue.finish(
                lease,
                result.model_dump(mode="json"),
                engine=result.engine,
                served_version=result.served_version,
                clip_s=result.duration_s,
                work_s=result.seconds,
            )
        if ending == "done":
            self.meters.count("dubflow_dubbed_clip_seconds_total", result.duration_s, trace=trace)
            self.meters.observe("dubflow_engine_segments", len(result.segments))
            self.meters.count("dubflow_voices_total", kind=result.voice.kind)
            if result.duration_s > 0:
                self.meters.observe("dubflow_dub_seconds_per_clip_second", result.seconds / result.duration_s)
            if lease.job.request is not None:
                self.drift.record(lease.job.request, result, self.tools.objects, self.scratch)
        return ending, None

    def _ended_badly(self, lease: Lease, watch: LeaseWatch, error: DubflowError) -> Ending:
        if watch.why == "lost":
            return "lost"
        if watch.why == "drained":
            return self.queue.give_back(lease)
        error = watch.refusal or error
        if error.code.startswith("gateway.consent_") or error.code == "gateway.no_consent":
            self.meters.count("dubflow_consent_refusals_total", code=error.code)
        ending = self.queue.fail(lease, error)
        if ending == "failed" and isinstance(error, OurFault):
            self.meters.count("dubflow_job_faults_total")
        return ending

    def _tidy(self, lease: Lease) -> None:
        """Remove what came to nothing; what is missed here is doomed anyway."""
        with suppress(DubflowError):
            self.tools.objects.remove_below(lease.prefix.rstrip("/"))

    def _letting_go(self) -> bool:
        return self._let_go_at is not None and time.monotonic() >= self._let_go_at


def _unknown(error: Exception) -> DubflowError:
    if (known := fault_of(error)).code == "gateway.disk_full":
        return known
    kind = type(error).__name__
    return OurFault("gateway.job_crashed", f"The job ended in an error that nobody foresaw ({kind}).", "See the log.")
