"""The worker: a job's files in, a signed dub out; stopped, drained, killed and fenced, it never does harm."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import jobs_room
import real_postgres
from dubflow.dubbing.engine import Job
from dubflow.dubbing.provenance.reading import read_provenance
from dubflow.errors import BadInput, OurFault
from dubflow.gateway.consent import ConsentTerms
from dubflow.gateway.jobs.job import ENDED
from dubflow.gateway.jobs.queue import JobQueue
from dubflow.gateway.jobs.request import ClonedVoice
from dubflow.gateway.jobs.result import JobResult
from dubflow.gateway.retention import Retention
from dubflow.gateway.uploads import UploadStore
from dubflow.gateway.worker import main, own_scratch
from dubflow.media.decode import read_audio
from dubflow.media.digest import sha256_file
from dubflow.media.probe import probe
from dubflow.media.subtitles import read_subtitles
from jobs_room import CLIP, REFERENCE, Room, open_room


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = open_room(tmp_path)
    yield made
    made.database.close()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something, but not for ever."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


class Running:
    """A worker in a thread."""

    def __init__(self, room: Room, **more: Any) -> None:
        self.worker = room.worker(**more)
        self.thread = threading.Thread(target=self.worker.run)

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.drain(now=True)
        self.thread.join()


def consent(room: Room) -> str:
    """Somebody's, for the voice of the room."""
    path = room.objects.path(REFERENCE)
    assert path is not None
    now = datetime.now(UTC)
    terms = ConsentTerms(
        person="Ada", how="in writing", given=now, scope="tests", languages=("en",),
        expires=now + timedelta(days=1), reference_sha256=sha256_file(path), recorded_by="Bob",
    )  # fmt: skip
    return room.consents.record("acme", "key", terms).id


def test_a_job_becomes_a_signed_dub_with_everything_beside_it(room: Room, tmp_path: Path) -> None:
    job = room.submit(text="one\n\ntwo --> three")
    assert room.worker().run(once=True) == 1
    done = room.store.get("acme", job)
    assert (done.state, done.percent, done.attempts, done.served_version, done.error) == ("done", 100, 1, 3, None)
    result = JobResult.model_validate(done.result)
    paths = {name: room.objects.local(file.key, tmp_path) for name, file in result.files.items()}
    for name, file in result.files.items():
        assert (sha256_file(paths[name]), paths[name].stat().st_size) == (file.sha256, file.bytes)
    clip = room.objects.local(CLIP, tmp_path)
    source, dubbed = probe(clip).video, probe(paths["video"]).video
    assert source is not None
    assert dubbed is not None
    assert source.duration == dubbed.duration
    said = read_provenance(paths["video"])
    assert said.facts is not None
    assert (said.facts.job, said.facts.package, said.facts.voice.name) == (job, "digest", "linden")
    assert read_provenance(paths["audio"]).facts == said.facts
    assert len(read_audio(paths["audio"], 16_000)) == 16_000
    for form in ("srt", "vtt"):
        assert [cue.text for cue in read_subtitles(paths[form])] == ["one\ntwo → three"]
    assert "three" not in str(done.result), "the row keeps no texts"
    assert any("stock voice" in notice for notice in result.notices)
    assert list((room.settings.state / "work").glob("*/*")) == []


def test_a_cloned_voice_speaks_only_under_its_consent(room: Room) -> None:
    given = consent(room)
    fine = room.submit(voice=ClonedVoice(consent=given, reference=REFERENCE))
    none = room.submit(voice=ClonedVoice(consent="con_nobody", reference=REFERENCE))
    other = room.submit(tenant="other", voice=ClonedVoice(consent=given, reference=REFERENCE))
    assert room.worker().run(once=True) == 3
    result = JobResult.model_validate(room.store.get("acme", fine).result)
    assert (result.voice.kind, result.voice.consent) == ("consent", given)
    for tenant, job in (("acme", none), ("other", other)):
        error = room.store.get(tenant, job).error
        assert error is not None
        assert error.code == "gateway.no_consent"


def test_consent_taken_back_ends_a_job_that_runs(room: Room) -> None:
    given = consent(room)
    room.engine.seconds = 30
    job = room.submit(voice=ClonedVoice(consent=given, reference=REFERENCE))
    with Running(room):
        until(lambda: room.store.get("acme", job).stage == "speaking")
        room.consents.revoke("acme", given, "key")
        until(lambda: room.store.get("acme", job).state in ENDED, 5)
    error = room.store.get("acme", job).error
    assert error is not None
    assert error.code == "gateway.consent_revoked"


def test_a_cancel_reaches_the_engine_and_leaves_nothing(room: Room) -> None:
    room.engine.seconds = 30
    job = room.submit()
    with Running(room):
        until(lambda: room.store.get("acme", job).stage == "speaking")
        assert room.store.cancel("acme", job).state == "running"
        until(lambda: room.store.get("acme", job).state == "cancelled", 5)
    assert room.engine.done == 0
    assert room.objects.listing("jobs") == []


def test_a_cancel_at_the_last_moment_still_holds(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is stored when it comes, and nothing may be shown."""
    job = room.submit()
    put, stored = room.objects.put, []

    def put_and_cancel(key: str, content: Any) -> Any:
        fact = put(key, content)
        stored.append(key)
        if len(stored) == 5:
            room.store.cancel("acme", job)
        return fact

    monkeypatch.setattr(room.objects, "put", put_and_cancel)
    room.worker().run(once=True)
    assert len(stored) == 5
    found = room.store.get("acme", job)
    assert (found.state, found.result) == ("cancelled", None)
    assert room.objects.listing("jobs") == []


def test_who_watches_sees_stages_and_an_estimate(room: Room) -> None:
    room.engine.seconds = 1.5
    job = room.submit()
    seen, after = [], 0
    with Running(room):
        while not seen or seen[-1].state not in ENDED:
            for event in room.store.watch("acme", job, after):
                after = event.number
                seen.append(event.job)
            time.sleep(0.02)
    assert [one.percent for one in seen] == sorted(one.percent for one in seen)
    assert [name for name in ("speaking", "writing") if name in {one.stage for one in seen}] == ["speaking", "writing"]
    estimates = [one.estimate_s for one in seen if one.stage == "speaking" and one.estimate_s is not None]
    assert estimates
    assert all(0 <= left < 10 for left in estimates)


def test_our_fault_is_tried_again_and_theirs_told(room: Room) -> None:
    def fails(error: Exception) -> Callable[[Job], None]:
        def raise_it(_job: Job) -> None:
            raise error

        return raise_it

    expected: list[tuple[Exception, str, str | None]] = [
        (OurFault("serving.gone", "Away."), "queued", None),
        (ZeroDivisionError("secret text"), "queued", None),
        (BadInput("dubbing.no_face", "No face."), "failed", "dubbing.no_face"),
    ]
    for error, state, code in expected:
        room.engine.before = fails(error)
        job = room.submit()
        assert room.worker().run(once=True) == 1
        found = room.store.get("acme", job)
        assert (found.state, found.error and found.error.code) == (state, code)
        room.store.cancel("acme", job)


def test_an_upload_that_is_gone_is_named(room: Room) -> None:
    room.objects.remove(CLIP)
    job = room.submit()
    room.worker().run(once=True)
    error = room.store.get("acme", job).error
    assert error is not None
    assert error.code == "gateway.clip_gone"


def test_without_an_engine_jobs_wait_and_lose_no_try(room: Room) -> None:
    job = room.submit()
    worker = room.worker()
    asked = threading.Event()

    def nobody() -> jobs_room.Speaker:
        asked.set()
        raise OurFault("serving.nothing_served", "No version yet.")

    worker.tools = jobs_room.Tools(room.settings, room.objects, room.consents, nobody)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert asked.wait(10)
    worker.drain()
    thread.join(10)
    assert (room.store.get("acme", job).state, room.store.get("acme", job).attempts) == ("queued", 0)


def test_a_full_disk_fails_no_job(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    job = room.submit()
    usage = shutil.disk_usage(room.settings.state)
    left = [room.settings.spare_bytes - 1, room.settings.spare_bytes]
    looked: list[int] = []

    def filling(_path: Path) -> Any:
        looked.append(left[min(len(looked), 1)])
        return usage._replace(free=looked[-1])

    monkeypatch.setattr(shutil, "disk_usage", filling)
    assert room.worker().run(once=True) == 1, "after a pause"
    assert len(looked) == 2
    assert (room.store.get("acme", job).state, room.store.get("acme", job).attempts) == ("done", 1)


def test_a_disk_that_fills_while_a_job_runs_is_named_and_tried_again(room: Room) -> None:
    def full(_job: Job) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    room.engine.before = full
    job = room.submit()
    room.worker().run(once=True)
    assert room.store.get("acme", job).state == "queued"


def test_a_worker_that_lost_its_job_writes_nothing_of_it(room: Room) -> None:
    """Another has taken it over while this one slept (a suspended machine): the late one leaves no trace."""
    job = room.submit()
    another = JobQueue(room.database, grace_s=0)

    def overslept(_job: Job) -> None:
        room.engine.before = lambda job: None
        holder = sqlite3.connect(room.database.engine.url.database or "")
        holder.execute("UPDATE jobs SET lease_until_ms = 0")
        holder.commit()
        holder.close()
        until(lambda: another.lease("other") is not None)

    room.engine.before = overslept
    assert room.worker().run(once=True) == 1
    found = room.store.get("acme", job)
    assert (found.state, found.attempts, found.result) == ("running", 2, None)
    assert room.objects.listing(f"jobs/{job}") == []


def test_a_drained_worker_finishes_what_is_nearly_done_and_hands_back_what_is_not(room: Room) -> None:
    for seconds, drain_s, state in ((0.5, 20.0, "done"), (30.0, 0.2, "queued")):
        room.engine.seconds = seconds
        job = room.submit()
        running = Running(room, drain_s=drain_s)
        with running:
            until(lambda job=job: room.store.get("acme", job).state == "running")  # type: ignore[misc]
            running.worker.drain()
            running.thread.join(20)
        assert room.store.get("acme", job).state == state
    assert room.store.get("acme", job).attempts == 0


def test_scratch_of_workers_that_are_no_more_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "dead" / "job").mkdir(parents=True)
    with own_scratch(tmp_path) as mine, own_scratch(tmp_path) as other:
        assert mine.is_dir()
        assert other.is_dir()
        assert not (tmp_path / "dead").exists()
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_workers_that_start_together_each_have_a_folder(tmp_path: Path) -> None:
    def start(_number: int) -> Path:
        with own_scratch(tmp_path) as folder:
            (folder / "job").mkdir()
            time.sleep(0.02)
            assert (folder / "job").is_dir()
        return folder

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(40)))) == 40


def test_settings_that_are_wrong_end_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("DUBFLOW_GATEWAY_ATTEMPTS", "none")
    assert main(["--state", str(tmp_path)]) == 2
    assert "gateway.bad_settings" in capsys.readouterr().err


def started(state: Path, seconds: float) -> subprocess.Popen[bytes]:
    """A worker in a process of its own."""
    command = [sys.executable, jobs_room.__file__, str(state), str(seconds)]
    environment = {**os.environ, "DUBFLOW_GATEWAY_LEASE_S": "2", "DUBFLOW_GATEWAY_ATTEMPTS": "20"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_workers_killed_at_any_moment_lose_and_double_nothing(tmp_path: Path) -> None:
    room = open_room(tmp_path)
    jobs = [room.submit(tenant="acme") for _ in range(6)]
    workers = [started(tmp_path, 0.3) for _ in range(2)]
    try:
        for number in range(4):  # at moments that have nothing to do with what a worker is at
            time.sleep(1.3 + 0.37 * number)
            victim = workers.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            workers.append(started(tmp_path, 0.3))
        until(lambda: room.store.counts().states.get("done", 0) == len(jobs), 120)
    finally:
        for worker in workers:
            worker.terminate()
        codes = [worker.wait(30) for worker in workers]
    assert codes == [0, 0], "drained"
    kept = set()
    for job in jobs:
        found = room.store.get("acme", job)
        result = JobResult.model_validate(found.result)
        assert len({Path(file.key).parent for file in result.files.values()}) == 1, "of one lease"
        for file in result.files.values():
            assert sha256_file(room.objects.local(file.key, tmp_path)) == file.sha256
            kept.add(file.key)
    # What killed workers left behind is nobody's, and goes when its time has come.
    room.database.clock = lambda: time.time() + 7200
    Retention(room.database, room.objects, UploadStore(room.database, room.objects), 7).remove()
    assert {one.key for one in room.objects.listing("jobs")} == kept
    room.database.close()


@pytest.mark.slow
def test_a_database_locked_longer_than_a_lease_costs_no_job(tmp_path: Path) -> None:
    room = open_room(tmp_path)
    job = room.submit()
    worker = started(tmp_path, 4.0)
    other = started(tmp_path, 4.0)
    try:
        until(lambda: room.store.get("acme", job).state == "running", 60)
        holder = sqlite3.connect(room.database.engine.url.database or "", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(OurFault, match=r"gateway\.database_busy"):
            room.store.database.write(lambda connection: None, patience_s=0.5)
        time.sleep(5)  # two leases and a half
        holder.execute("COMMIT")
        until(lambda: room.store.get("acme", job).state == "done", 30)
    finally:
        for one in (worker, other):
            one.terminate()
            one.wait(30)
    assert room.store.get("acme", job).attempts == 1
    room.database.close()


@pytest.mark.slow
@pytest.mark.skipif(real_postgres.programs() is None, reason="no Postgres server is installed here (initdb, postgres)")
def test_in_postgres_connections_that_break_cost_no_job(tmp_path: Path) -> None:
    import psycopg

    with real_postgres.running() as url:
        room = open_room(tmp_path, 2.0, database=url)
        job = room.submit()
        with Running(room), psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as killer:
            until(lambda: room.store.get("acme", job).state == "running")
            ended = 0
            while room.store.get("acme", job).state == "running":
                query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                ended += len(killer.execute(query + " AND pid <> pg_backend_pid()").fetchall())
                time.sleep(0.2)
        assert ended > 3
        assert (room.store.get("acme", job).state, room.store.get("acme", job).attempts) == ("done", 1)
        room.database.close()
