"""What tests of jobs share: a deployment in a folder, a clip, an engine that hums as slowly as it is told.

Importable, so that processes of their own can run a worker of it: ``python tests/jobs_room.py STATE [SECONDS]``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.request import SegmentText
from dubflow.dubbing.watching import Watch, check_stopped
from dubflow.gateway.consent import ConsentStore
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.doing import Speaker, Tools
from dubflow.gateway.jobs.queue import JobQueue
from dubflow.gateway.jobs.request import JobRequest, StockVoice, Voice
from dubflow.gateway.jobs.store import JobStore
from dubflow.gateway.jobs.working import Worker
from dubflow.gateway.settings import GatewaySettings
from dubflow.gateway.tables import migrate
from dubflow.media.encode import write_clip
from dubflow.storage import Objects

CLIP, REFERENCE = "uploads/clip", "uploads/voice"


class Clock:
    """Time that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Hummer:
    """An engine that hums: as loud as any. ``seconds`` it takes for each clip, in steps of 10 ms that may be stopped.

    Attributes:
        before: called first of all with each job; may raise. done: clips that it spoke for.
    """

    seconds: float = 0.0
    before: Callable[[Job], None] = lambda job: None
    done: int = 0
    world: Literal["embedded", "real"] = "embedded"
    languages: tuple[str, ...] = ("en", "de")
    id: str = "hummer"
    began: list[float] = field(default_factory=list)

    def look(self, job: Job, watch: Watch) -> Job:
        self.began.append(time.monotonic())
        self.before(job)
        watch.stage("looking", 0.5)
        return job

    def speak(self, seen: Sequence[Job], watch: Watch) -> list[list[SpokenSegment]]:
        began = time.monotonic()
        while (spent := time.monotonic() - began) < self.seconds:
            watch.stage("speaking", spent / self.seconds)
            check_stopped(watch)
            time.sleep(0.01)
        self.done += len(seen)
        return [[_hum(segment.frames, job) for segment in job.segments] for job in seen]


def _hum(frames: int, job: Job) -> SpokenSegment:
    sound = 0.3 * np.sin(2 * np.pi * (150 + job.options.seed) * np.arange(640 * frames) / 16_000)
    return SpokenSegment(sound.astype(np.float32), None, 1.0)


@dataclass
class Room:
    """One deployment."""

    settings: GatewaySettings
    database: Database
    objects: Objects
    store: JobStore
    queue: JobQueue
    consents: ConsentStore
    engine: Hummer

    def tools(self) -> Tools:
        """What a worker of it works with."""
        return Tools(self.settings, self.objects, self.consents, lambda: Speaker(self.engine, 3, "digest"))

    def worker(self, name: str = "w", **more: Any) -> Worker:
        """A worker of it."""
        return Worker(self.tools(), self.queue, self.settings.state / "work" / name, name=name, **more)

    def submit(self, tenant: str = "acme", **more: Any) -> str:
        """A job's id."""
        return self.store.submit(tenant, request(**more), clip_s=1.0).job.id


def request(text: str = "hello there", voice: Voice | None = None, **more: Any) -> JobRequest:
    """A job's request."""
    chosen = voice or StockVoice(name="linden")
    return JobRequest(clip=CLIP, segments=(SegmentText(text=text),), language="en", voice=chosen, **more)


def tables(url: str, clock: Callable[[], float] = time.time) -> Database:
    """A database with the jobs' tables."""
    database = Database(url, clock)
    migrate(database)
    return database


def open_room(state: Path, seconds: float = 0.0, **more: Any) -> Room:
    """The deployment of a folder; its clip and voice are written when they are not there."""
    settings = GatewaySettings(state=state, **more)
    database, objects = tables(settings.database_url), Objects(settings.files_root)
    if objects.find(CLIP) is None:
        frames = np.random.default_rng(0).integers(0, 255, (25, 64, 64, 3), dtype=np.uint8)
        sound = (0.3 * np.sin(np.arange(16_000) / 20)).astype(np.float32)
        write_clip(state / "clip.mp4", frames, 25, sound, 16_000)
        for key in (CLIP, REFERENCE):
            objects.put(key, state / "clip.mp4")
    queue = JobQueue(database, lease_s=settings.lease_s, attempts=settings.attempts)
    return Room(settings, database, objects, JobStore(database), queue, ConsentStore(database), Hummer(seconds))


def main() -> None:
    """A worker in a process of its own."""
    from dubflow.gateway.worker import serve

    state, seconds = Path(sys.argv[1]), float(sys.argv[2])
    room = open_room(state, seconds)
    serve(room.settings, lambda: Speaker(room.engine, 3, "digest"))


if __name__ == "__main__":
    main()
