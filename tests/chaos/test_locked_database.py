"""A database that somebody holds for 30 s: reads go on, writes are told to come again, jobs that run are not lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaos.service import Deployment, Record, told, until
from gateway.api import make_clip

pytestmark = pytest.mark.slow

LOCKED_S = 30.0
_HOLDER = """
import sqlite3, sys
holder = sqlite3.connect(sys.argv[1], isolation_level=None)
holder.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
holder.execute("COMMIT")
"""


def test_a_database_locked_for_30_s_costs_no_job(tmp_path: Path, record_property: Record) -> None:
    # A lease is shorter than the lock: who holds a job cannot say so for three leases.
    with Deployment(tmp_path / "state", {"lease_s": 10}, workers=2, seconds=3.0) as service:
        client = service.client()
        upload = client.upload(make_clip(tmp_path / "clip.mp4"))
        jobs = [client.insist(upload, f"job-{number}") for number in range(6)]
        until(lambda: sum(client.job(job).get("state") == "running" for job in jobs) == 2, 60)
        path = service.state / "gateway.db"
        with subprocess.Popen([sys.executable, "-c", _HOLDER, str(path)], stdin=-1, stdout=-1, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            began = time.monotonic()
            refused, reads = 0, list[float]()
            while time.monotonic() < began + LOCKED_S:
                busy = client.submit(upload, "late")
                assert (busy.status, busy.code) == (503, "gateway.database_busy"), busy
                assert int(busy.headers["retry-after"]) >= 1
                refused += 1
                asked = time.monotonic()
                assert client.job(jobs[0])["state"] in ("running", "queued"), "readers do not wait"
                reads.append(time.monotonic() - asked)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                sqlite3.connect(path, timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
            holder.communicate()
        free = time.monotonic()
        jobs.append(client.insist(upload, "late"))
        taken = time.monotonic() - free
        ended = client.ended(jobs, 120)
        done = time.monotonic() - free
        assert [job["state"] for job in ended] == ["done"] * len(jobs)
        assert [job["attempts"] for job in ended] == [1] * len(jobs)
        assert sorted(client.listed()) == sorted(jobs), "what was refused is there once"
    told(record_property, f"{refused} x 503 with Retry-After, reads {1000 * max(reads):.0f} ms at the most; free: "
         f"a submission after {taken:.1f} s, all {len(jobs)} jobs after {done:.1f} s, none tried twice")  # fmt: skip
