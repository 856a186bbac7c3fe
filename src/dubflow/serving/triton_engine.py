"""A version that Triton serves, as an engine: jobs go in by gRPC, stages and spoken segments stream back.

The same request and seed give the same sound as in-process; only who computes is another. Inference changes nothing
anywhere, so a server that is not there is asked again; nothing else is.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.watching import UNWATCHED, Stage, Watch, cancelled, check_stopped
from dubflow.errors import DubflowError, OurFault
from dubflow.serving.asking import facts_of
from dubflow.serving.launcher import GRPC_HEADER
from dubflow.serving.repository import number_of
from dubflow.serving.trace_context import new_request_id
from dubflow.serving.wire import error_of, json_bytes, json_of

Answers = queue.SimpleQueue[tuple[Any, InferenceServerException | None]]
"""What came through a stream: a result or an error each."""

_LOOK_S = 0.05
_TRIES = 3
_PAUSE_S = 0.5
_MOST_AT_ONCE = 16
_STATUSES = {
    "UNAVAILABLE": ("serving.unavailable", "Triton is not there", "It is started again when it is watched."),
    "DEADLINE_EXCEEDED": ("serving.deadline", "Triton did not answer in time", "Dub shorter clips, or allow more."),
    "NOT_FOUND": ("serving.not_loaded", "Triton has not this version", "Ask for what is served now."),
    "PERMISSION_DENIED": ("serving.no_key", "Triton wants another key", "It was started again: read its state anew."),
    "CANCELLED": ("serving.cut_off", "Triton ended the call", "Try again."),
}
_MESSAGES = {
    "is not at ready state": "NOT_FOUND",
    "unknown model": "NOT_FOUND",
    "protocol is restricted": "PERMISSION_DENIED",
}
"""What says more than the status that comes with it, if any does."""
_NEVER = ("serving.inference_failed", "Triton failed", "See triton.log.")


@dataclass(frozen=True, eq=False)
class Asked:
    """A job to be sent; Triton looks at it when it is spoken, in one call."""

    job: Job


class TritonEngine:
    """One version of a running server."""

    def __init__(
        self,
        grpc: str,
        key: str,
        *,
        model: str,
        version: int,
        engine_id: str,
        world: Literal["embedded", "real"],
        languages: tuple[str, ...],
        deadline_s: float,
    ) -> None:
        """
        Args:
            grpc: HOST:PORT. key: the server's. model: name in Triton. version: of the registry.
            engine_id, world, languages: of the served model.
            deadline_s: of a call.
        """
        self._grpc, self._headers, self._model = grpc, {GRPC_HEADER: key}, model
        self.version, self._deadline_s = version, deadline_s
        self._id, self._world, self._languages = engine_id, world, languages

    @property
    def id(self) -> str:
        """Of the served model: the same as in-process, for so is the sound."""
        return self._id

    @property
    def world(self) -> Literal["embedded", "real"]:
        """The model's."""
        return self._world

    @property
    def languages(self) -> tuple[str, ...]:
        """The model's."""
        return self._languages

    def look(self, job: Job, watch: Watch = UNWATCHED) -> Asked:
        """Nothing is looked at yet: that is the server's, and part of :meth:`speak`."""
        check_stopped(watch)
        return Asked(job)

    def speak(self, seen: Sequence[Asked], watch: Watch = UNWATCHED) -> list[list[SpokenSegment]]:
        """Dub clips, each by a call of its own, at once: the server batches what it can.

        Raises:
            BadInput: ``dubbing.cancelled``, and what looking at a clip says.
            OurFault: ``serving.unavailable``, ``serving.deadline``, ``serving.not_loaded``, ``serving.no_key``,
                ``serving.cut_off``, ``serving.inference_failed``, ``serving.incomplete``; what the models raise.
        """
        whole = _Together(watch, [one.job.frames for one in seen])
        if len(seen) == 1:
            return [self._dub(seen[0].job, whole.of(0))]
        with ThreadPoolExecutor(min(_MOST_AT_ONCE, len(seen)), thread_name_prefix="triton") as pool:
            calls = [pool.submit(self._dub, one.job, whole.of(number)) for number, one in enumerate(seen)]
            try:
                return [call.result() for call in calls]
            except BaseException:
                whole.give_up()  # what the others say is of no use any more
                raise

    def _dub(self, job: Job, watch: Watch) -> list[SpokenSegment]:
        for tried in range(1, _TRIES + 1):
            try:
                return _Call(self._grpc, self._headers, self._deadline_s).dub(self._model, self.version, job, watch)
            except OurFault as error:
                if error.code != "serving.unavailable" or tried == _TRIES:
                    raise
            _pause(_PAUSE_S * tried, watch)
        raise AssertionError("the last try returns or raises")


class _Call:
    """One stream."""

    def __init__(self, grpc: str, headers: dict[str, str], deadline_s: float) -> None:
        self._grpc, self._headers, self._deadline_s = grpc, headers, deadline_s
        self._answers: Answers = queue.SimpleQueue()

    def dub(self, model: str, version: int, job: Job, watch: Watch) -> list[SpokenSegment]:
        check_stopped(watch)
        client, answered = triton.InferenceServerClient(self._grpc), False
        try:
            client.start_stream(self._heard, stream_timeout=self._deadline_s, headers=self._headers)
            client.async_stream_infer(
                model,
                _inputs(job),
                str(number_of(version)),
                request_id=new_request_id(),
                enable_empty_final_response=True,
            )
            spoken, answered = self._spoken(job, watch), True
            return spoken
        except InferenceServerException as error:
            raise typed_error(ended_by(self._answers) or error) from error
        finally:
            end_client(client, answered=answered)

    def _heard(self, result: Any, error: InferenceServerException | None) -> None:
        self._answers.put((result, error))

    def _spoken(self, job: Job, watch: Watch) -> list[SpokenSegment]:
        spoken: dict[int, SpokenSegment] = {}
        until = time.monotonic() + self._deadline_s
        while True:
            if watch.stopped():
                raise cancelled()
            try:
                result, error = self._answers.get(timeout=_LOOK_S)
            except queue.Empty:
                if time.monotonic() > until:
                    raise typed_error(InferenceServerException("no answer", status="DEADLINE_EXCEEDED")) from None
                continue
            if error is not None:
                raise typed_error(error)
            event = result.as_numpy("EVENT")
            if event is None:  # the stream's end
                break
            facts = json_of(event)
            if "error" in facts:
                raise error_of(facts)
            if "stage" in facts:
                stage: Stage = facts["stage"]
                watch.stage(stage, float(facts["share"]))
            else:
                spoken[int(facts["segment"])] = _segment(facts, result.as_numpy("WAVEFORM"))
        if sorted(spoken) != list(range(len(job.segments))):
            raise OurFault(
                "serving.incomplete", f"{len(spoken)} of {len(job.segments)} segments came back.", "Try again."
            )
        watch.stage("speaking", 1)
        return [spoken[number] for number in range(len(job.segments))]


class _Together:
    """One watch for several calls: their shares by their frames, the stage of whichever is furthest behind."""

    def __init__(self, watch: Watch, frames: Sequence[int]) -> None:
        self._watch, self._frames = watch, frames
        self._shares = [0.0] * len(frames)
        self._given_up = False

    def of(self, number: int) -> Watch:
        return _One(self, number)

    def give_up(self) -> None:
        self._given_up = True

    def stopped(self) -> bool:
        return self._given_up or self._watch.stopped()

    def told(self, number: int, stage: Stage, share: float) -> None:
        self._shares[number] = share
        if share <= min(self._shares) or len(self._shares) == 1:
            weighted = sum(a * b for a, b in zip(self._shares, self._frames, strict=True))
            self._watch.stage(stage, weighted / sum(self._frames))


@dataclass(frozen=True)
class _One:
    whole: _Together
    number: int

    def stage(self, stage: Stage, share: float) -> None:
        self.whole.told(self.number, stage, share)

    def stopped(self) -> bool:
        return self.whole.stopped()


def ended_by(answers: Answers) -> InferenceServerException | None:
    """The error that ended the stream: a client that sends afterwards is told only that it has ended."""
    with contextlib.suppress(queue.Empty):
        while True:
            _, error = answers.get(timeout=_LOOK_S)
            if error is not None:
                return error
    return None


def end_client(client: Any, *, answered: bool) -> None:
    """Close a client and its stream, which tells the server that nobody waits any more.

    Args:
        answered: the last response is here. A stream that is cancelled while Triton ends it now and then leaves a
            socket in the server for good, so only one that still waits is cancelled.
    """
    stream = client._stream
    if stream is not None and not answered:
        # Cancelling alone leaves gRPC's thread waiting for more requests for ever, and with it all that it holds.
        stream._request_queue.put(None)
    with contextlib.suppress(InferenceServerException):
        client.stop_stream(cancel_requests=not answered)
    client.close()


def _inputs(job: Job) -> list[Any]:
    asked = triton.InferInput("JOB", [0], "UINT8")
    content = json_bytes(facts_of(job))
    asked.set_shape([len(content)])
    asked.set_data_from_numpy(content)
    voice = triton.InferInput("VOICE", [len(job.voice.waveform)], "FP32")
    voice.set_data_from_numpy(np.ascontiguousarray(job.voice.waveform, np.float32))
    return [asked, voice]


def _segment(facts: dict[str, Any], waveform: Any) -> SpokenSegment:
    planned = facts["planned"]
    return SpokenSegment(
        np.array(waveform, np.float32),
        None if planned is None else (float(planned[0]), float(planned[1])),
        float(facts["face_found"]),
        tuple(facts["notices"]),
    )


def typed_error(error: InferenceServerException) -> DubflowError:
    """An error of Triton's as one of ours; its class says whether trying again is worth it."""
    status = str(error.status() or "").removeprefix("StatusCode.")
    message = str(error.message())
    status = next((own for text, own in _MESSAGES.items() if text in message), status)
    code, headline, hint = _STATUSES.get(status, _NEVER)
    return OurFault(code, f"{headline}: {message}", hint, status=status)


def _pause(seconds: float, watch: Watch) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        check_stopped(watch)
        time.sleep(_LOOK_S)
