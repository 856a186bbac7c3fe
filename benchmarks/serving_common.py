"""What the benchmarks of serving share: a short drawn clip, a server of the starter, its clients, and their tables."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tritonclient.grpc as triton

from dubflow.dubbing.engine import Job
from dubflow.dubbing.jobs import DubTask, plan_task
from dubflow.dubbing.request import DubOptions, DubRequest, SegmentText
from dubflow.dubbing.voice import read_voice
from dubflow.gateway.database import Database
from dubflow.gateway.keys import KeyStore
from dubflow.gateway.settings import load_settings
from dubflow.gateway.stock_voices import DEFAULT, stock_voice
from dubflow.media.decode import read_clip
from dubflow.media.encode import write_clip
from dubflow.platform.serving_stack import WantedMode, plan_stack
from dubflow.platform.serving_status import start_detached, stop_stack
from dubflow.serving.golden import CLIP
from dubflow.serving.launcher import GRPC_HEADER, read_key
from dubflow.serving.options import ServeOptions, Tuning
from dubflow.serving.patience import WatchSettings
from dubflow.serving.repository import PARTS, number_of
from dubflow.serving.settings import TritonSettings
from dubflow.serving.slips import Slip
from dubflow.serving.state import ServingState, read_state
from dubflow.serving.wire import unpacked

TEXT, FRAMES, STEPS = "five", 10, 4
DENOISER = PARTS[1]
START_S, STOP_S, ANSWER_S = 240.0, 60.0, 120.0
_OPEN = {
    "DUBFLOW_GATEWAY_REQUESTS_A_MINUTE": "1000000",
    "DUBFLOW_GATEWAY_BURST": "100000",
    "DUBFLOW_GATEWAY_TENANT_STREAMS": "64",
}
"""One client is the whole load here, so a tenant's limits are out of its way."""


def request_of(folder: Path, seed: int = 0, steps: int = STEPS) -> DubRequest:
    """To dub the first 0.4 s of the golden clip (a drawn head of 128 pixels) with a stock voice."""
    clip = folder / "short.mp4"
    if not clip.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        frames = read_clip(CLIP, audio=False).frames
        assert frames is not None
        write_clip(clip, frames[:FRAMES], 25)
    options = DubOptions(steps=steps, seed=seed, no_face="speak")
    voice = str(stock_voice(DEFAULT, folder / "voices"))
    return DubRequest(clip=clip, segments=(SegmentText(text=TEXT),), language="en", reference=voice, options=options)


def job_of(request: DubRequest) -> Job:
    """The request, planned."""
    _, plan = plan_task(DubTask(request, request.clip.with_suffix(".dub.mp4")))
    voice = read_voice(Path(request.reference), request.options)
    return Job(request.clip, plan.frames, plan.segments, request.language, voice, request.options)


def seeded(job: Job, seed: int) -> Job:
    """The same job with other noise, so that nothing can be found instead of computed."""
    return replace(job, options=job.options.model_copy(update={"seed": seed}))


def options_of(batching: bool = True, **source: Any) -> ServeOptions:
    """A server whose watchdog's golden clips keep out of the way, for they cost a second of a core each."""
    tuning = Tuning(triton=TritonSettings(batching=batching), watch=WatchSettings(deep_s=3600))
    return ServeOptions(tuning=tuning, **({"model": "starter"} | source))


@contextmanager
def server(
    folder: Path, options: ServeOptions, *, workers: int = 1, mode: WantedMode = "triton", gateway: bool = True
) -> Iterator[ServingState]:
    """A server of ``folder`` while the block runs; also one who is told to end takes it along."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    os.environ.update(_OPEN)
    plan = plan_stack(folder, options, mode=mode, port=0, workers=workers, gateway=gateway)
    try:
        yield start_detached(plan, START_S, lambda _: None)
    finally:
        stop_stack(folder, STOP_S)


class Gateway:
    """A client of the HTTP API; may be asked by several threads."""

    def __init__(self, folder: Path, address: str) -> None:
        keys = KeyStore(Database(load_settings(state=folder).database_url))
        key, _ = keys.create("benchmark", {"submit", "read"})
        self._client = httpx.Client(
            base_url=f"http://{address}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=ANSWER_S,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        )

    def upload(self, clip: Path) -> str:
        """Its key."""
        return str(self._checked(self._client.post("/v1/uploads", content=clip.read_bytes()))["key"])

    def dub(self, clip: str, seed: int, steps: int = STEPS) -> dict[str, Any]:
        """A dub of an uploaded clip, until its last event says that it is done; that event's content."""
        options = {"seed": seed, "steps": steps, "no_face": "speak"}
        asked = {"clip": clip, "text": TEXT, "language": "en", "voice": DEFAULT, "options": options}
        made = self._checked(self._client.post("/v1/dubs", json=asked))
        told: dict[str, Any] = {}
        with self._client.stream("GET", made["links"]["events"]) as events:
            for line in events.iter_lines():
                if line.startswith("data: "):
                    told = json.loads(line.removeprefix("data: "))
        if told.get("state") != "done":
            raise RuntimeError(f"the dub has not ended well: {told}")
        return told

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        if answer.is_error:
            raise RuntimeError(f"{answer.status_code}: {answer.text}")
        return answer.json()


class Denoiser:
    """A client of the denoiser alone, with features that were extracted before.

    Args:
        packet: features as the frontend packs them, without the slip's path in them.
    """

    def __init__(self, state: ServingState, folder: Path, packet: Callable[[str], Any]) -> None:
        self._client = triton.InferenceServerClient(state.grpc)
        self._headers = {GRPC_HEADER: read_key(folder)}
        self._slip = Slip.made(folder / "slips")
        content = packet(str(self._slip.path)).packed()
        self._input = triton.InferInput("PACKET", [1, len(content)], "UINT8")
        self._input.set_data_from_numpy(content[None])

    def ask(self, version: int) -> None:
        """Tokens of the segment, from this version; the answer is read and its version looked at."""
        answer = self._client.infer(
            DENOISER, [self._input], str(number_of(version)), headers=self._headers, client_timeout=ANSWER_S
        )
        unpacked(answer.as_numpy("ANSWER").reshape(-1))
        if int(answer.get_response().model_version) != number_of(version):
            raise RuntimeError(f"version {answer.get_response().model_version} answered, {version} was asked")

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
        self._slip.remove()


@dataclass(frozen=True)
class Load:
    """How a load went: seconds of each request, and of all together."""

    concurrency: int
    seconds: tuple[float, ...]
    wall_s: float

    @property
    def a_minute(self) -> float:
        """Requests a minute."""
        return 60 * len(self.seconds) / self.wall_s

    def cells(self) -> tuple[str, ...]:
        """For a table: how many, a minute, p50, p95, p99 in seconds."""
        points = (f"{np.percentile(self.seconds, share):.2f}" for share in (50, 95, 99))
        return (str(self.concurrency), str(len(self.seconds)), f"{self.a_minute:.0f}", *points)


def closed_loop(concurrency: int, requests: int, ask: Callable[[int], object]) -> Load:
    """So many clients, each of which asks again once it is answered; a request that fails ends the benchmark."""
    numbers, lock = iter(range(requests)), threading.Lock()
    seconds: list[float] = []

    def client() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            started = time.perf_counter()
            ask(number)
            seconds.append(time.perf_counter() - started)

    started = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        for running in [pool.submit(client) for _ in range(concurrency)]:
            running.result()
    return Load(concurrency, tuple(seconds), time.perf_counter() - started)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """In Markdown."""
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    print(flush=True)


def machine() -> str:
    """Of which machine the figures are."""
    load = json.dumps([round(one, 1) for one in os.getloadavg()])
    return (
        f"{os.cpu_count()} cores shared with other work (load averages {load}); embedded world; {time.strftime('%F')}"
    )


def tell(text: str) -> None:
    """How far it is, on standard error."""
    sys.stderr.write(f"{time.strftime('%T')} {text}\n")
    sys.stderr.flush()


def current_version(folder: Path) -> int:
    """Which version serves now, as a worker finds out."""
    current = read_state(folder).current
    if current is None:
        raise RuntimeError("no version serves")
    return current.version
