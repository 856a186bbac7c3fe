"""A model that answers with a stream: one thread a job, so many at once and no more."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.watching import CANCELLED
from dubflow.errors import DubflowError, OurFault
from dubflow.serving.asking import job_of
from dubflow.serving.models.parts import Counters
from dubflow.serving.models.streams import Stream, send_event
from dubflow.serving.repository import Installed, slips_folder
from dubflow.serving.slips import Slip
from dubflow.serving.telling import QUESTION, tell
from dubflow.serving.wire import error_facts, json_of

Dub = Callable[[Job, dict[str, Any], Stream], Sequence[SpokenSegment]]
"""From a job, its JSON and its stream to spoken segments."""

_TOLD = {
    "dubflow_dubs_total": "Jobs that ended in the server, by outcome.",
    "dubflow_dub_seconds_total": "Time that jobs spent in the server, in seconds.",
}
_END_S = 30.0


class Decoupled:
    """Runs ``dub`` for every request and streams what it says."""

    def __init__(self, args: dict[str, str], version: Installed, dub: Dub) -> None:
        self._dub, self._most = dub, version.jobs_at_once
        self._version, self._installed = int(args["model_version"]), version
        self._repository = Path(args["model_repository"]).parent
        self._slips = slips_folder(self._repository)
        self._slips.mkdir(parents=True, exist_ok=True)
        self._counters = Counters(args, _TOLD)
        self._lock, self._running = threading.Condition(), 0

    def execute(self, requests: list[Any]) -> None:
        """Begin every request, or say that there are too many."""
        for request in requests:
            sender = request.get_response_sender()
            job = pb_utils.get_input_tensor_by_name(request, "JOB").as_numpy().copy()
            voice = pb_utils.get_input_tensor_by_name(request, "VOICE").as_numpy().copy()
            if job.tobytes() == QUESTION:
                self._tell(sender)
                continue
            with self._lock:
                free = self._running < self._most
                self._running += free
            stream = Stream(sender, Slip.made(self._slips, self._version))
            if free:
                threading.Thread(target=self._run, args=(stream, job, voice), name="job", daemon=True).start()
                continue
            stream.failed(
                OurFault("serving.busy", f"{self._most} jobs are running in the server.", "Try again in a moment.")
            )
            stream.end()
            stream.slip.remove()

    def finalize(self) -> None:
        """Wait for jobs that run."""
        with self._lock:
            self._lock.wait_for(lambda: not self._running, timeout=_END_S)

    def _tell(self, sender: Any) -> None:
        """Who this is; no job of its own, so it waits for none."""
        try:
            facts = tell(self._installed, self._repository).model_dump(mode="json")
        except Exception as error:
            traceback.print_exc()
            facts = error_facts(OurFault("serving.model_failed", f"The model failed: {error}.", "See its log."))
        send_event(sender, facts)
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _run(self, stream: Stream, content: Any, voice: Any) -> None:
        started, outcome = time.monotonic(), "done"
        try:
            with stream.followed():
                facts = json_of(content)
                segments = self._dub(job_of(facts, voice), facts, stream)
            for number, spoken in enumerate(segments):
                stream.segment(number, spoken)
        except DubflowError as error:
            outcome = "cancelled" if error.code == CANCELLED else "refused" if error.users_doing else "failed"
            stream.failed(error)
        except Exception as error:
            outcome = "failed"
            traceback.print_exc()  # the server's log is where it belongs
            stream.failed(
                OurFault("serving.model_failed", f"The model failed: {type(error).__name__}.", "See its log.")
            )
        finally:
            stream.end()
            stream.slip.remove()
            self._counters.add("dubflow_dubs_total", outcome=outcome)
            self._counters.add("dubflow_dub_seconds_total", time.monotonic() - started)
            with self._lock:
                self._running -= 1
                self._lock.notify_all()
