"""Leases: whatever workers do, and wherever they die, each job ends once."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

import real_postgres
from dubflow.errors import BadInput, OurFault
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.job import ENDED
from dubflow.gateway.jobs.queue import JobQueue, Lease
from dubflow.gateway.jobs.store import JobStore
from dubflow.gateway.tables import DELIVERIES, DOOMED, JOBS
from jobs_room import Clock, request, tables

ATTEMPTS = 3
OURS = OurFault("media.decoder_died", "It died.")
THEIRS = BadInput("media.broken", "It is broken.")
FACTS = {"engine": "e", "served_version": 1, "clip_s": 1.0, "work_s": 1.0}


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


@pytest.fixture
def queue(database: Database) -> JobQueue:
    return JobQueue(database, lease_s=30, attempts=ATTEMPTS, grace_s=0)


def taken(queue: JobQueue, worker: str = "w") -> Lease:
    lease = queue.lease(worker)
    assert lease is not None
    return lease


def test_a_late_worker_finishes_nothing(store: JobStore, queue: JobQueue, clock: Clock) -> None:
    job = store.submit("a", request()).job.id
    late = taken(queue, "late")
    clock.now += 31
    new = taken(queue, "new")
    assert (new.job.id, new.fence) == (job, late.fence + 1)
    assert not queue.beat(late).held
    assert not queue.report(late, "speaking", 99, 0).held
    assert queue.finish(late, {"by": "late"}, **FACTS) == "lost"
    assert queue.fail(late, OURS) == queue.give_back(late) == "lost"
    assert queue.finish(new, {"by": "new"}, **FACTS) == "done"
    assert store.get("a", job).result == {"by": "new"}
    assert store.get("a", job).attempts == 2


def test_what_is_said_twice_holds_once(store: JobStore, queue: JobQueue) -> None:
    store.submit("a", request(webhook="https://example.com/"))
    lease = taken(queue)
    assert [queue.give_back(lease) for _ in range(2)] == ["again", "again"]
    lease = taken(queue)
    assert [queue.finish(lease, {}, **FACTS) for _ in range(2)] == ["done", "done"]
    assert queue.fail(lease, OURS) == queue.give_back(lease) == "done"
    number = select(func.count()).select_from(DELIVERIES)
    assert queue.database.read(lambda connection: connection.execute(number).scalar_one()) == 1


def test_a_worker_that_renews_keeps_its_job(store: JobStore, queue: JobQueue, clock: Clock) -> None:
    store.submit("a", request())
    lease = taken(queue)
    for _ in range(10):
        clock.now += 25
        assert queue.beat(lease).held
        assert queue.lease("other") is None


def test_a_lease_must_be_seen_over_twice(store: JobStore, database: Database, clock: Clock) -> None:
    """While a database is locked nobody can renew: what was over in that time is the worker's to save."""
    queue = JobQueue(database, lease_s=30, attempts=ATTEMPTS, grace_s=3)
    store.submit("a", request())
    lease = taken(queue)
    clock.now += 40
    assert queue.lease("other") is None
    clock.now += 1
    assert queue.beat(lease).held, "the worker came back within the grace"
    clock.now += 40
    assert queue.lease("other") is None
    clock.now += 3.1
    assert taken(queue, "other").job.id == lease.job.id


def test_our_fault_is_tried_again_after_pauses_and_theirs_is_not(
    store: JobStore, queue: JobQueue, clock: Clock
) -> None:
    job = store.submit("a", request()).job.id
    pauses = []
    for _ in range(ATTEMPTS - 1):
        assert queue.fail(taken(queue), OURS) == "again"
        began = clock.now
        while not queue.anything():
            clock.now += 0.5
        pauses.append(clock.now - began)
    assert 2 < pauses[0] < pauses[1]
    assert queue.fail(taken(queue), OURS) == "failed"
    failed = store.get("a", job)
    assert failed.error is not None
    assert failed.error.code == "media.decoder_died"
    other = store.submit("a", request()).job.id
    assert queue.fail(taken(queue), THEIRS) == "failed"
    assert store.get("a", other).attempts == 1


def test_a_job_that_kills_its_workers_is_given_up(store: JobStore, queue: JobQueue, clock: Clock) -> None:
    job = store.submit("a", request()).job.id
    for _ in range(ATTEMPTS):
        taken(queue)
        clock.now += 31
    assert queue.lease("w") is None
    ended = store.get("a", job)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == ("failed", "gateway.job_poisoned")


def test_a_job_handed_back_has_lost_no_try(store: JobStore, queue: JobQueue) -> None:
    job = store.submit("a", request()).job.id
    for _ in range(5):
        assert queue.give_back(taken(queue)) == "again"
    assert store.get("a", job).attempts == 0
    assert queue.finish(taken(queue), {}, **FACTS) == "done"


def test_a_job_that_was_asked_to_end_is_never_done(store: JobStore, queue: JobQueue, clock: Clock) -> None:
    jobs = [store.submit("a", request()).job.id for _ in range(4)]
    leases = [taken(queue) for _ in jobs]
    for job in jobs:
        assert store.cancel("a", job).state == "running"
    assert queue.listen(leases[0]).cancelled
    assert queue.finish(leases[0], {}, **FACTS) == "cancelled"
    assert queue.fail(leases[1], OURS) == "cancelled"
    assert queue.give_back(leases[2]) == "cancelled"
    clock.now += 31
    assert queue.lease("w") is None
    assert [store.get("a", job).state for job in jobs] == ["cancelled"] * 4


def test_tenants_take_turns_however_much_one_of_them_asks(store: JobStore, queue: JobQueue, clock: Clock) -> None:
    for tenant, number in (("many", 20), ("few", 2), ("one", 1)):
        for _ in range(number):
            store.submit(tenant, request())
            clock.now += 0.001
    served = []
    for _ in range(6):
        lease = taken(queue)
        served.append(lease.job.tenant)
        queue.finish(lease, {}, **FACTS)
    assert Counter(served[:3]) == {"many": 1, "few": 1, "one": 1}
    assert Counter(served) == {"many": 3, "few": 2, "one": 1}


def test_who_has_fewer_running_comes_first_up_to_a_limit(store: JobStore, database: Database, clock: Clock) -> None:
    queue = JobQueue(database, tenant_running=2)
    for tenant in ("a", "a", "a", "b"):
        store.submit(tenant, request())
        clock.now += 0.001
    assert [taken(queue).job.tenant for _ in range(3)] == ["a", "b", "a"]
    assert queue.lease("w") is None


class Workers(RuleBasedStateMachine):
    """Workers that take, renew, finish, fail, hand back, die and come back late, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.database = tables(f"sqlite:///{self.folder.name}/gateway.db", self.clock)
        self.store = JobStore(self.database)
        self.queue = JobQueue(self.database, lease_s=30, attempts=ATTEMPTS, grace_s=0)
        self.jobs: dict[str, str] = {}
        self.leases: list[Lease] = []
        self.finished: dict[str, list[int]] = {}
        self.ended: dict[str, str] = {}
        self.asked: set[str] = set()

    def teardown(self) -> None:
        """Whatever happened: with one good worker, every job comes to an end."""
        for _ in range(200):
            self.clock.now += 400
            lease = self.queue.lease("last")
            if lease is None and not self.queue.anything():
                break
            if lease is not None and self.queue.finish(lease, {"fence": lease.fence}, **FACTS) == "done":
                self.finished.setdefault(lease.job.id, []).append(lease.fence)
        for job in self.jobs:
            self.ended[job] = self._look(job)
            assert self.ended[job] in ENDED
        self.nothing_is_doubled()
        self.database.close()
        self.folder.cleanup()

    def _look(self, job: str) -> str:
        return self.store.get(self.jobs[job], job).state

    @initialize()
    def begin(self) -> None:
        self.submit("a")

    @rule(tenant=st.sampled_from("ab"))
    def submit(self, tenant: str) -> None:
        job = self.store.submit(tenant, request(webhook="https://example.com/")).job.id
        self.jobs[job] = tenant
        self.clock.now += 0.001  # ids of one millisecond have no order, and Hypothesis wants the same run twice

    @rule()
    def take(self) -> None:
        lease = self.queue.lease(f"w{len(self.leases)}")
        if lease is not None:
            for other in self.leases:
                assert (other.job.id, other.fence) != (lease.job.id, lease.fence)
                if other.job.id == lease.job.id:
                    assert lease.fence > other.fence
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), how=st.sampled_from(["finish", "ours", "theirs", "back", "beat", "report", "die"]))
    def act(self, data: st.DataObject, how: str) -> None:
        lease = self.leases[data.draw(st.integers(0, len(self.leases) - 1))]
        if how == "finish":
            before = self._look(lease.job.id)
            ending = self.queue.finish(lease, {"fence": lease.fence}, **FACTS)
            if ending == "done" and before != "done":
                self.finished.setdefault(lease.job.id, []).append(lease.fence)
        elif how in ("ours", "theirs"):
            self.queue.fail(lease, OURS if how == "ours" else THEIRS)
        elif how == "back":
            self.queue.give_back(lease)
        elif how == "beat":
            assert self.queue.beat(lease).held <= (self._look(lease.job.id) == "running")
        elif how == "report":
            self.queue.report(lease, "speaking", 50, None)
        else:
            self.leases.remove(lease)

    @rule(seconds=st.sampled_from([1.0, 10.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = list(self.jobs)[data.draw(st.integers(0, len(self.jobs) - 1))]
        if self.store.cancel(self.jobs[job], job).state in ("running", "cancelled"):
            self.asked.add(job)

    @invariant()
    def nothing_is_doubled(self) -> None:
        query = select(JOBS.c.id, JOBS.c.state, JOBS.c.fence, JOBS.c.attempts, JOBS.c.cancel_asked)
        rows = {row.id: row for row in self.database.read(lambda connection: connection.execute(query).all())}
        assert set(rows) == set(self.jobs), "no job is lost"
        for job, row in rows.items():
            assert row.attempts <= ATTEMPTS
            assert row.attempts <= row.fence
            if job in self.ended:
                assert row.state == self.ended[job], "an end is for good"
            if row.state in ENDED:
                self.ended[job] = row.state
            if row.state == "done":
                found = self.store.get(self.jobs[job], job)
                assert self.finished[job] == [row.fence], "done once, by the last lease"
                assert found.result == {"fence": row.fence}
                assert not row.cancel_asked
            else:
                assert job not in self.finished
            if job in self.asked:
                assert row.state in ("running", "cancelled", "queued")

        self._each_end_is_told_once({job: row.fence for job, row in rows.items()})

    def _each_end_is_told_once(self, fences: dict[str, int]) -> None:
        told = self.database.read(lambda connection: connection.execute(select(DELIVERIES.c.job_id)).scalars().all())
        assert Counter(told) == Counter(list(self.ended))
        doomed = set(self.database.read(lambda connection: connection.execute(select(DOOMED.c.prefix)).scalars()))
        for job, state in self.ended.items():
            expected = {f"jobs/{job}/{fence}/" for fence in range(1, fences[job] + (state != "done"))}
            assert {one for one in doomed if one.startswith(f"jobs/{job}/")} == expected


Workers.TestCase.settings = settings(
    max_examples=5, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestWorkers = Workers.TestCase


@pytest.mark.slow
class TestManyMoreWorkers(Workers.TestCase):
    """The same law, longer."""

    settings = settings(
        max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


def worked(url: str, jobs: int, workers: int) -> Counter[str]:
    """Submit and do jobs with that many connections at once, some of which die; how often each was done."""
    submitters = [JobStore(Database(url)) for _ in range(2)]
    done: Counter[str] = Counter()
    lock, over = threading.Lock(), threading.Event()

    def submit(number: int) -> str:
        return submitters[number % 2].submit(f"t{number % 3}", request(), idempotency=str(number)).job.id

    def work(number: int) -> None:
        queue = JobQueue(Database(url), lease_s=0.5, attempts=50, grace_s=0.1)
        turn = number
        while not over.is_set():
            lease = queue.lease(f"w{number}")
            if lease is None:
                time.sleep(0.02)
                continue
            turn += 1
            if turn % 5 == 0:
                continue  # died
            if turn % 7 == 0:
                time.sleep(0.8)  # too late
            if queue.finish(lease, {"fence": lease.fence}, **FACTS) == "done":
                with lock:
                    done[lease.job.id] += 1
        queue.database.close()

    with ThreadPoolExecutor(workers + 4) as pool:
        hands = [pool.submit(work, number) for number in range(workers)]
        made = set(pool.map(submit, range(jobs)))
        until = time.monotonic() + 60
        while submitters[0].counts().states.get("done", 0) < jobs and time.monotonic() < until:
            time.sleep(0.05)
        over.set()
        for hand in hands:
            hand.result()
    states = submitters[0].counts().states
    for one in submitters:
        one.database.close()
    assert states == {"done": jobs}
    assert set(done) == made
    return done


@pytest.mark.slow
def test_many_connections_do_each_job_once_in_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    tables(url).close()
    assert set(worked(url, jobs=40, workers=4).values()) == {1}


@pytest.mark.slow
@pytest.mark.skipif(real_postgres.programs() is None, reason="no Postgres server is installed here (initdb, postgres)")
def test_many_connections_do_each_job_once_in_postgres() -> None:
    with real_postgres.running() as url:
        tables(url).close()
        assert set(worked(url, jobs=40, workers=6).values()) == {1}
