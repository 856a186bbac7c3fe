"""Versions that are served by Tritons of other machines: who is there, and the engine of one of them.

A name (a headless Service of Kubernetes) stands for the addresses of all servers. Each job takes one of them and stays
with it, so what is said of a dub, engine, version and package, is that of the server that made it, also while a new
version is tried beside the old one. Clips reach the servers as everywhere by their path: workers and servers share a
folder (``DUBFLOW_GATEWAY_SCRATCH``).
"""

from __future__ import annotations

import queue
import random
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from pydantic import ValidationError
from tritonclient.utils import InferenceServerException

from dubflow.errors import DubflowError, OurFault, WrongUse
from dubflow.serving.launcher import GRPC_HEADER
from dubflow.serving.repository import FRONT
from dubflow.serving.telling import QUESTION, Told
from dubflow.serving.triton_engine import Answers, TritonEngine, end_client, ended_by, typed_error
from dubflow.serving.wire import error_of, json_of

ASK_S = 5.0
_MOST_AT_ONCE = 16


@dataclass(frozen=True)
class Answering:
    """A server, and what it told."""

    endpoint: str
    told: Told

    def engine(self, key: str, deadline_s: float) -> TritonEngine:
        """Its engine, of exactly this version."""
        one = self.told.installed
        return TritonEngine(
            self.endpoint,
            key,
            model=one.kind,
            version=one.version,
            engine_id=one.engine,
            world=one.world,
            languages=one.languages,
            deadline_s=deadline_s,
        )


@dataclass(frozen=True)
class Fleet:
    """All servers that a name stands for.

    Attributes:
        address: HOST:PORT of gRPC. key: opens them. resolve: from HOST and PORT to HOST:PORT of each server.
    """

    address: str
    key: str
    resolve: Callable[[str, int], Sequence[str]] | None = None

    def endpoints(self) -> tuple[str, ...]:
        """HOST:PORT of every server there is now; none where the name stands for nobody.

        Raises:
            WrongUse: ``serving.bad_address``.
        """
        host, port = split_address(self.address)
        return tuple((self.resolve or resolved)(host, port))

    def answering(self) -> tuple[Answering, ...]:
        """Every server that answers; who does not is left out."""
        endpoints = self.endpoints()
        if not endpoints:
            return ()
        with ThreadPoolExecutor(min(_MOST_AT_ONCE, len(endpoints)), thread_name_prefix="fleet") as pool:
            found = list(pool.map(self._asked, endpoints))
        return tuple(one for one in found if one is not None)

    def one(self) -> Answering:
        """One that answers, whichever: each is as likely as any other.

        Raises:
            OurFault: ``serving.nothing_served`` where none does.
        """
        endpoints = list(self.endpoints())
        random.shuffle(endpoints)
        for endpoint in endpoints:
            if (found := self._asked(endpoint)) is not None:
                return found
        raise OurFault(
            "serving.nothing_served",
            f"None of the {len(endpoints)} servers behind {self.address} answers.",
            "Wait until one is ready.",
        )

    def _asked(self, endpoint: str) -> Answering | None:
        with suppress(DubflowError):
            return Answering(endpoint, ask(endpoint, self.key))
        return None


def ask(endpoint: str, key: str, within_s: float = ASK_S) -> Told:
    """What the server at HOST:PORT tells of the newest version that it serves.

    Raises:
        OurFault: ``serving.unavailable``, ``serving.deadline``, ``serving.not_loaded``, ``serving.no_key``,
            ``serving.incomplete``, ``serving.bad_packet`` where it is of another dubflow.
    """
    answers: Answers = queue.SimpleQueue()
    client, answered = triton.InferenceServerClient(endpoint), False
    try:
        headers = {GRPC_HEADER: key}
        client.start_stream(lambda result, error: answers.put((result, error)), within_s, headers=headers)
        client.async_stream_infer(FRONT, _question(), enable_empty_final_response=True)
        told, answered = _told(answers, within_s), True
        return told
    except InferenceServerException as error:
        raise typed_error(ended_by(answers) or error) from error
    finally:
        end_client(client, answered=answered)


def resolved(host: str, port: int) -> tuple[str, ...]:
    """Addresses that a name stands for, HOST:PORT each, sorted; none where it stands for nobody now."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    addresses = sorted({str(one[4][0]) for one in found})
    return tuple(f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in addresses)


def split_address(address: str) -> tuple[str, int]:
    """HOST and PORT of ``HOST:PORT``.

    Raises:
        WrongUse: ``serving.bad_address``.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise WrongUse("serving.bad_address", f"{address!r} is no HOST:PORT.", "Write dubflow-triton:9000.")
    return host.strip("[]"), int(port)


def _question() -> list[Any]:
    asked = triton.InferInput("JOB", [len(QUESTION)], "UINT8")
    asked.set_data_from_numpy(np.frombuffer(QUESTION, np.uint8))
    voice = triton.InferInput("VOICE", [1], "FP32")
    voice.set_data_from_numpy(np.zeros(1, np.float32))
    return [asked, voice]


def _told(answers: Answers, within_s: float) -> Told:
    until = time.monotonic() + within_s
    while True:
        try:
            result, error = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise typed_error(InferenceServerException("no answer", status="DEADLINE_EXCEEDED")) from None
        if error is not None:
            raise typed_error(error)
        event = result.as_numpy("EVENT")
        if event is None:
            raise OurFault("serving.incomplete", "A server ended its answer before it told who it is.", "Try again.")
        facts = json_of(event)
        if "error" in facts:
            raise error_of(facts)
        try:
            return Told.model_validate(facts)
        except ValidationError as wrong:
            raise OurFault(
                "serving.bad_packet",
                f"What came is not what the models say to one another: {wrong.errors()[0]['msg']}.",
                "See that workers and servers are of one dubflow.",
            ) from wrong
