"""Jobs as tenants see them: taken on once, listed, watched, cancelled, and nobody's but their own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.dubbing.request import SegmentText
from dubflow.errors import BadInput, WrongUse
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.job import new_id
from dubflow.gateway.jobs.queue import JobQueue
from dubflow.gateway.jobs.request import ClonedVoice, JobOptions, JobRequest, StockVoice
from dubflow.gateway.jobs.store import JobStore
from jobs_room import Clock, request, tables


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    made = tables(f"sqlite:///{tmp_path}/gateway.db", clock)
    yield made
    made.close()


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database)


def test_a_key_names_one_job_of_one_tenant(store: JobStore) -> None:
    first = store.submit("a", request(), idempotency="k")
    again = store.submit("a", request(), idempotency="k")
    assert (first.found, again.found) == (False, True)
    assert first.job == again.job
    assert store.submit("b", request(), idempotency="k").job.id != first.job.id
    assert store.submit("a", request()).job.id != first.job.id
    with pytest.raises(WrongUse, match=r"gateway\.idempotency_conflict"):
        store.submit("a", request("another text"), idempotency="k")


def test_many_who_send_the_same_at_once_get_one_job(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: JobStore(database).submit("a", request(), idempotency="k"), range(16)))
    assert len({one.job.id for one in found}) == 1
    assert sum(not one.found for one in found) == 1


def test_nobody_sees_anothers_job(store: JobStore) -> None:
    mine = store.submit("a", request()).job.id
    for look in (store.get, store.cancel, store.watch):
        with pytest.raises(BadInput, match=r"gateway\.no_such_job"):
            look("b", mine)
    assert store.list("b") == ()
    assert store.get("a", mine).state == "queued"


def test_pages_hold_every_job_once_newest_first(store: JobStore, clock: Clock) -> None:
    made = []
    for _ in range(7):
        made.append(store.submit("a", request()).job.id)
        clock.now += 0.01
    seen: list[str] = []
    while page := store.list("a", limit=3, after=seen[-1] if seen else None):
        seen += [job.id for job in page]
    assert seen == made[::-1]
    store.cancel("a", made[3])
    assert [job.id for job in store.list("a", "cancelled")] == [made[3]]


def test_a_job_that_waits_is_cancelled_at_once_and_stays_so(store: JobStore) -> None:
    job = store.submit("a", request()).job
    assert store.cancel("a", job.id).state == "cancelled"
    assert store.cancel("a", job.id).state == "cancelled"
    assert JobQueue(store.database).lease("w") is None


def test_a_watcher_hears_of_each_change_once(store: JobStore, database: Database) -> None:
    queue = JobQueue(database)
    job = store.submit("a", request()).job
    (event,) = store.watch("a", job.id)
    assert store.watch("a", job.id, event.number) == ()
    lease = queue.lease("w")
    assert lease is not None
    queue.report(lease, "speaking", 40.0, 2.5)
    (event,) = store.watch("a", job.id, event.number)
    assert (event.job.state, event.job.stage, event.job.percent, event.job.estimate_s) == (
        "running",
        "speaking",
        40,
        2.5,
    )
    assert not event.ended
    queue.beat(lease)
    assert store.watch("a", job.id, event.number) == (), "renewing a lease is nothing to hear of"
    queue.finish(lease, {}, engine="e", served_version=1, clip_s=1, work_s=1)
    assert store.watch("a", job.id, event.number)[0].ended


def test_estimates_follow_the_pace_of_finished_jobs(store: JobStore, database: Database, clock: Clock) -> None:
    queue = JobQueue(database)
    for _ in range(3):
        store.submit("a", request(), clip_s=2.0)
    assert store.counts().wait_s is None
    lease = queue.lease("w")
    assert lease is not None
    queue.finish(lease, {}, engine="e", served_version=1, clip_s=2.0, work_s=6.0)
    waiting = [store.get("a", job.id).estimate_s for job in store.list("a", "queued")]
    assert waiting == [12.0, 6.0], "three seconds of work a second of clip; the newest waits for the other"
    counts = store.counts()
    assert (counts.queued, counts.running, counts.wait_s) == (2, 0, 12.0)
    assert counts.states == {"queued": 2, "done": 1}
    clock.now += 30
    assert store.counts().oldest_s == 30
    assert store.counts().queued_of == {"a": 2}


@given(st.lists(st.integers(0, 2**47), min_size=2, max_size=20))
def test_ids_sort_by_time_and_never_meet(times: list[int]) -> None:
    made = [new_id("dub", time) for time in times]
    assert len(set(made)) == len(made)
    by_time = [identity[:14] for _, identity in sorted(zip(times, made, strict=True))]
    assert by_time == sorted(by_time), "the first ten digits are of time alone"


def test_what_is_asked_is_strict_and_says_what_it_needs() -> None:
    voice = ClonedVoice(consent="con_1", reference="uploads/voice")
    assert request(voice=voice).reference_key == "uploads/voice"
    assert request(voice=ClonedVoice(consent="con_1", reference="self")).reference_key is None
    assert request().reference_key is None
    assert request(quality="draft").dub_options().steps < request(quality="best").dub_options().steps
    assert request(quality="best", options=JobOptions(steps=2)).dub_options().steps == 2
    assert request().sha256() == request(notices=("decided later",)).sha256() != request("other").sha256()
    assert JobRequest.model_validate_json(request().model_dump_json()) == request()
    two = (SegmentText(text="a"), SegmentText(text="b"))
    with pytest.raises(ValueError, match="several segments need times"):
        JobRequest(clip="c", segments=two, language="en", voice=StockVoice(name="x"))
