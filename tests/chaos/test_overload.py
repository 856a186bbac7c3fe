"""Four times what fits: who is refused is told when to come back, who is taken on is served, afterwards all is well."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chaos.service import Answer, Deployment, Record, told, until
from gateway.api import make_clip

pytestmark = pytest.mark.slow

QUEUE, TENANT = 10, 4
TENANTS = 4
LIMITS = {"queue_jobs": QUEUE, "tenant_jobs": TENANT}


def test_four_times_the_load_is_turned_away_politely_and_what_was_taken_is_done(
    tmp_path: Path, record_property: Record
) -> None:
    with Deployment(tmp_path / "state", LIMITS, workers=2, seconds=1.0) as service:
        clients = [service.client(f"tenant-{number}") for number in range(TENANTS)]
        clip = make_clip(tmp_path / "clip.mp4")
        uploads = [client.upload(clip) for client in clients]

        def send(number: int) -> Answer:
            return clients[number % TENANTS].submit(uploads[number % TENANTS])

        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(4 * QUEUE)))
        sent = time.monotonic() - began
        outcomes = Counter((answer.status, answer.code) for answer in answers)
        assert set(outcomes) <= {(202, ""), (429, "gateway.too_many_jobs"), (503, "gateway.overloaded")}, outcomes
        refused = [answer for answer in answers if answer.status != 202]
        assert outcomes[(429, "gateway.too_many_jobs")] > 0
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        taken = [(number % TENANTS, answer.json["id"]) for number, answer in enumerate(answers) if answer.status == 202]
        assert len(taken) >= QUEUE
        for number, client in enumerate(clients):
            mine = [job for tenant, job in taken if tenant == number]
            assert [job["state"] for job in client.ended(mine, 120)] == ["done"] * len(mine)
            assert sorted(client.listed()) == sorted(mine), "who was refused has nothing in the queue"
        done = time.monotonic() - began
        again = clients[0].submit(uploads[0])
        assert again.status == 202
        clients[0].ended([again.json["id"]], 60)
        assert clients[0].ready()
    refusals = ", ".join(f"{count} x {status}" for (status, _), count in sorted(outcomes.items()) if status != 202)
    told(record_property, f"{len(answers)} jobs in {sent:.1f} s: {len(taken)} taken on, all done after {done:.1f} s; "
         f"{refusals}, all with Retry-After")  # fmt: skip


def test_when_the_whole_queue_is_full_all_tenants_hear_it(tmp_path: Path, record_property: Record) -> None:
    with Deployment(tmp_path / "state", {"queue_jobs": QUEUE}, workers=0) as service:
        client, other = service.client("one"), service.client("other")
        upload = client.upload(make_clip(tmp_path / "clip.mp4"))
        answers = [client.submit(upload) for _ in range(4 * QUEUE)]
        outcomes = Counter((answer.status, answer.code) for answer in answers)
        assert outcomes == {(202, ""): QUEUE, (503, "gateway.overloaded"): 3 * QUEUE}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status == 503)
        theirs = other.upload(make_clip(tmp_path / "other.mp4", seed=1))
        assert other.submit(theirs).code == "gateway.overloaded"
        service.start_worker("worker")
        taken = [str(answer.json["id"]) for answer in answers if answer.status == 202]
        assert {job["state"] for job in client.ended(taken, 120)} == {"done"}
        seconds = until(lambda: other.submit(theirs).status == 202, 30)
    told(record_property, f"{QUEUE} of {4 * QUEUE} taken on and done, {3 * QUEUE} x 503 with Retry-After; "
         f"room again after {seconds:.1f} s")  # fmt: skip
