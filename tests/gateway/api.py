"""The API in tests: the real app over a database and files of its own, keys of two tenants, clips made in a moment.

Dubs are done by the real worker with an engine that hums: what is tested here does not hang on who speaks.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from fastapi import FastAPI
from starlette.testclient import TestClient

from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.planning import PlannedSegment
from dubflow.dubbing.watching import Watch
from dubflow.gateway.app import create_app
from dubflow.gateway.jobs.doing import Speaker
from dubflow.gateway.parts import Parts
from dubflow.gateway.server import PatientProtocol, listening, server_of
from dubflow.gateway.settings import GatewaySettings, load_settings
from dubflow.gateway.worker import serve
from dubflow.media.encode import write_clip
from dubflow.serving.state import Served, ServingState, now, write_state

FRAMES = 25
TEXT = "Good morning."


class Hummer:
    """An engine that hums: done in a moment."""

    id = "hummer"
    world: Literal["embedded", "real"] = "embedded"
    languages: tuple[str, ...] = ("en", "fr")

    def look(self, job: Job, watch: Watch) -> Job:
        watch.stage("looking", 0.5)
        return job

    def speak(self, seen: Any, watch: Watch) -> list[list[SpokenSegment]]:
        return [[_hum(segment) for segment in job.segments] for job in seen]


def _hum(segment: PlannedSegment) -> SpokenSegment:
    sound = 0.3 * np.sin(2 * np.pi * (150 + 10 * segment.phones) * np.arange(640 * segment.frames) / 16_000)
    return SpokenSegment(sound.astype(np.float32), None, 1.0)


def make_clip(path: Path, frames: int = FRAMES, *, seed: int = 0) -> Path:
    """A clip of 64 pixels, 25 frames a second: squares that move, and a tone."""
    pictures = np.zeros((frames, 64, 64, 3), np.uint8)
    for number in range(frames):
        at = (number + 7 * seed) % 48
        pictures[number, at : at + 16, at : at + 16] = (200, 40 + 10 * seed, 90)
    sound = (0.2 * np.sin(2 * np.pi * (220 + 40 * seed) * np.arange(640 * frames) / 16_000)).astype(np.float32)
    write_clip(path, pictures, 25, sound, 16_000)
    return path


@dataclass
class Api:
    """An app, and who may ask it."""

    app: FastAPI
    client: TestClient
    keys: dict[str, str]

    @property
    def parts(self) -> Parts:
        """What the app is made of."""
        found: Parts = self.app.state.parts
        return found

    @property
    def settings(self) -> GatewaySettings:
        """Its settings."""
        return self.parts.settings

    def headers(self, who: str = "one") -> dict[str, str]:
        """Of a request by the holder of a key."""
        return {"Authorization": f"Bearer {self.keys[who]}"}

    def ask(self, method: str, path: str, who: str = "one", **more: Any) -> Any:
        """One request."""
        headers = {**self.headers(who), **more.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **more)

    def upload(self, clip: Path, who: str = "one") -> str:
        """The key of a clip that was uploaded."""
        answer = self.ask("POST", "/v1/uploads", who, content=clip.read_bytes())
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])

    def submit(self, clip: str, who: str = "one", headers: dict[str, str] | None = None, **more: Any) -> Any:
        """The answer to a submission of an uploaded clip."""
        body = {"clip": clip, "text": TEXT, "language": "en", **more}
        return self.ask("POST", "/v1/dubs", who, json=body, headers=headers or {})

    def work(self) -> int:
        """Have a worker do what is due; how many attempts it made."""
        speaker = Speaker(Hummer(), version=4, package="ab" * 32)  # type: ignore[arg-type]
        return serve(self.settings, lambda: speaker, once=True, signals=False)


def serving_state(folder: Path) -> None:
    """Say that a version is served."""
    served = Served(
        version=4, package="ab" * 32, engine="hummer", world="embedded", languages=("en",), folder=folder, since=now()
    )
    write_state(folder, ServingState(mode="in_process", why="a test", model="diflow-dubber", current=served))


@contextlib.contextmanager
def running(folder: Path, **more: Any) -> Iterator[Api]:
    """An app with its state in ``folder``, and settings of one's own."""
    settings = load_settings(state=folder, port=0, **more)
    app = create_app(settings)
    parts: Parts = app.state.parts
    scopes = {
        "one": ("one", ("submit", "read")),
        "two": ("two", ("submit", "read")),
        "reader": ("one", ("read",)),
        "admin": ("ops", ("admin",)),
        "promoter": ("ops", ("promote", "read")),
    }
    keys = {who: parts.keys.create(tenant, wanted)[0] for who, (tenant, wanted) in scopes.items()}
    with TestClient(app, raise_server_exceptions=True) as client:
        yield Api(app, client, keys)


@contextlib.contextmanager
def listening_server(
    app: FastAPI, settings: GatewaySettings, protocol: type[PatientProtocol] | None = None
) -> Iterator[int]:
    """A real server for an app on a free port, in a thread of this process; its port."""
    bound = listening(settings)
    server = server_of(app, settings)
    if protocol is not None:
        server.config.http = protocol
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield int(bound.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
        bound.close()
        assert not thread.is_alive()


def connection(port: int, timeout: float = 20) -> http.client.HTTPConnection:
    """To the server."""
    return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
