"""After a job that the engine's server failed, a worker takes no other before the engine has dubbed again."""

from __future__ import annotations

import threading
from pathlib import Path

from dubflow.dubbing.engine import Job
from dubflow.errors import BadInput, DubflowError, OurFault
from dubflow.gateway.jobs.doing import Speaker, Tools
from jobs_room import Room, open_room


def attempts(room: Room, error: DubflowError, jobs: int, proven_after: int) -> tuple[list[int], int]:
    """How often each job was tried until all that are due were, and how often the engine was asked for a proof."""
    asked = [0]

    def proof() -> None:
        asked[0] += 1
        if asked[0] < proven_after:
            raise OurFault("serving.unavailable", "Away.")
        room.engine.before = lambda job: None

    def fails(_job: Job) -> None:
        raise error

    room.engine.before = fails
    ids = [room.submit() for _ in range(jobs)]
    worker = room.worker()
    worker.tools = Tools(room.settings, room.objects, room.consents, lambda: Speaker(room.engine, 3, "d", proof))
    thread = threading.Thread(target=worker.run, kwargs={"once": True})
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    return [room.store.get("acme", one).attempts for one in ids], asked[0]


def test_a_server_that_is_away_costs_one_job_one_try(tmp_path: Path) -> None:
    room = open_room(tmp_path)
    tries, asked = attempts(room, OurFault("serving.unavailable", "Away."), 2, 2)
    assert tries == [1, 1]
    assert asked == 2
    states = sorted(room.store.counts().states.items())
    assert states == [("done", 1), ("queued", 1)], "the first one waits for its second try"
    room.database.close()


def test_what_is_no_fault_of_the_server_raises_no_doubt(tmp_path: Path) -> None:
    room = open_room(tmp_path)
    tries, asked = attempts(room, BadInput("dubbing.no_face", "No face."), 2, 1)
    assert (tries, asked) == ([1, 1], 0)
    assert room.store.counts().states == {"failed": 2}
    room.database.close()


def test_an_engine_without_proof_is_believed(tmp_path: Path) -> None:
    room = open_room(tmp_path)
    seen: list[str] = []

    def fails_once(job: Job) -> None:
        seen.append(job.clip.name)
        if len(seen) == 1:
            raise OurFault("serving.part_failed", "One.")

    room.engine.before = fails_once
    for _ in range(2):
        room.submit()
    assert room.worker().run(once=True) == 2
    room.database.close()
