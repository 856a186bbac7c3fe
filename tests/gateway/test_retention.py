"""What is kept and what goes: never what runs, never half, and no texts for good."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from dubflow.errors import OurFault
from dubflow.gateway.retention import Retention
from dubflow.gateway.tables import DELIVERIES, DOOMED, JOBS
from dubflow.gateway.uploads import UPLOADS, UploadStore
from jobs_room import CLIP, Clock, Room, open_room, request

DAYS = 7
LATER = 8 * 86_400


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.now = time.time()
    return made


@pytest.fixture
def room(tmp_path: Path, clock: Clock) -> Iterator[Room]:
    made = open_room(tmp_path)
    made.database.clock = clock
    yield made
    made.database.close()


@pytest.fixture
def retention(room: Room) -> Retention:
    return Retention(room.database, room.objects, UploadStore(room.database, room.objects), DAYS)


def finished(room: Room, **more: Any) -> str:
    """A job that is done, with an output."""
    job = room.store.submit("acme", request("secret words", **more)).job.id
    lease = room.queue.lease("w")
    assert lease is not None
    room.objects.put(lease.prefix + "video.mp4", b"dub")
    result = {"files": {"video": {"key": lease.prefix + "video.mp4"}}, "seconds": 2.0, "notices": ["secret words"]}
    room.queue.finish(lease, result, engine="e", served_version=1, clip_s=1.0, work_s=2.0)
    return job


def everything(room: Room) -> str:
    query = (select(JOBS), select(DELIVERIES), select(DOOMED))
    return str([room.database.read(lambda connection, one=one: connection.execute(one).all()) for one in query])


def test_a_result_has_its_time_and_leaves_figures_without_texts(room: Room, retention: Retention, clock: Clock) -> None:
    job = finished(room, webhook="https://secret.example/")
    clock.now += LATER - 2 * 86_400
    assert retention.run() == {"jobs": 0, "uploads": 0, "outputs": 0}
    assert room.store.get("acme", job).state == "done"
    clock.now += 2 * 86_400
    assert retention.run()["jobs"] == 0, "its webhook is still to be told"
    told = update(DELIVERIES).values(state="delivered")
    room.database.write(lambda connection: connection.execute(told))
    assert retention.run() == {"jobs": 1, "uploads": 0, "outputs": 1}
    kept = room.store.get("acme", job)
    assert (kept.state, kept.request, kept.attempts) == ("expired", None, 1)
    assert kept.result == {"files": {}, "seconds": 2.0, "notices": []}
    assert room.objects.listing("jobs") == []
    assert "secret" not in everything(room)
    assert retention.run() == {"jobs": 0, "uploads": 0, "outputs": 0}


def test_failed_and_cancelled_jobs_lose_their_texts_too(room: Room, retention: Retention, clock: Clock) -> None:
    cancelled = room.store.submit("acme", request("secret words")).job.id
    room.store.cancel("acme", cancelled)
    failed = room.store.submit("acme", request("secret words")).job.id
    lease = room.queue.lease("w")
    assert lease is not None
    room.queue.fail(lease, OurFault("a.b", "secret words"))
    for _ in range(3):
        clock.now += 600
        again = room.queue.lease("w")
        if again is not None:
            room.queue.fail(again, OurFault("gateway.x", "secret words"))
    clock.now += LATER
    assert retention.expire() == 2
    states = [room.store.get("acme", job).state for job in (cancelled, failed)]
    assert states == ["cancelled", "failed"]
    error = room.store.get("acme", failed).error
    assert error is not None
    assert (error.code, error.message) == ("gateway.x", "")
    assert "secret" not in everything(room)


def test_what_waits_or_runs_is_never_touched(room: Room, retention: Retention, clock: Clock) -> None:
    running = room.store.submit("acme", request()).job.id
    lease = room.queue.lease("w")
    assert lease is not None
    waiting = room.store.submit("acme", request()).job.id
    room.objects.put(lease.prefix + "video.mp4", b"half")
    key = CLIP.partition("/")[2]
    row = {"key": key, "tenant": "acme", "sha256": "", "bytes": 1, "facts": "{}", "used_ms": room.database.now_ms()}
    room.database.write(lambda connection: connection.execute(insert(UPLOADS).values(**row)))
    clock.now += 100 * 86_400
    assert retention.run() == {"jobs": 0, "uploads": 0, "outputs": 0}
    assert [room.store.get("acme", job).state for job in (running, waiting)] == ["running", "queued"]
    assert room.objects.find(lease.prefix + "video.mp4") is not None
    assert room.objects.find(CLIP) is not None
    room.queue.finish(lease, {"files": {}}, engine="e", served_version=1, clip_s=1, work_s=1)
    room.store.cancel("acme", waiting)
    assert retention.run()["uploads"] == 1
    assert room.objects.find(CLIP) is None


def test_killed_in_between_the_next_one_goes_on(
    room: Room, retention: Retention, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [finished(room) for _ in range(3)]
    clock.now += LATER
    real, calls = room.objects.remove_below, []

    def dies(prefix: str) -> None:
        calls.append(prefix)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(prefix)

    monkeypatch.setattr(room.objects, "remove_below", dies)
    with pytest.raises(KeyboardInterrupt):
        retention.run()
    assert {room.store.get("acme", job).state for job in jobs} == {"expired"}, "nobody is shown files that go"
    assert len(room.objects.listing("jobs")) == 2
    monkeypatch.undo()
    assert retention.run()["outputs"] == 3
    assert room.objects.listing("jobs") == []


def test_a_lost_attempt_is_cleared_when_its_worker_must_know(room: Room, retention: Retention, clock: Clock) -> None:
    job = room.store.submit("acme", request()).job.id
    first = room.queue.lease("w")
    assert first is not None
    room.objects.put(first.prefix + "video.mp4", b"half")
    room.queue.give_back(first)
    second = room.queue.lease("w")
    assert second is not None
    room.objects.put(second.prefix + "video.mp4", b"whole")
    room.queue.finish(second, {"files": {}}, engine="e", served_version=1, clip_s=1, work_s=1)
    assert retention.remove() == 0
    clock.now += 3601
    assert retention.remove() == 1
    assert [one.key for one in room.objects.listing(f"jobs/{job}")] == [second.prefix + "video.mp4"]
