"""The whole service on the real Triton, with real dubs of the embedded starter: killed piece by piece, and worked hard.

After SIGKILL of the stub, the server, a worker, the gateway each job is done once, none is lost, none is there twice.
The soak is ``DUBFLOW_SOAK_JOBS`` jobs (30 without; ``benchmarks/serving_chaos.py`` runs 500).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.service import Client, Record, held, kill, new_key, slope, told, until
from dubflow.gateway.settings import load_settings
from dubflow.platform.serving_stack import plan_stack, port_of
from dubflow.platform.serving_status import start_detached, status_of, stop_stack
from dubflow.serving.environment import why_not
from dubflow.serving.golden import CLIP
from dubflow.serving.launcher import shared_memory_prefix, stubs_of
from dubflow.serving.options import ServeOptions, Tuning
from dubflow.serving.patience import WatchSettings
from dubflow.serving.state import read_state
from dubflow.serving.stubs import running_stubs
from dubflow.storage import Objects
from gateway.api import make_clip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"Triton cannot run here: {why_not()}"),
]

WITHIN_S = 180.0
JOBS = 3
SOAK = int(os.environ.get("DUBFLOW_SOAK_JOBS", "30"))
AT_ONCE, WARM = 10, 30  # the worker has loaded by then what it looks for drift with
DRAFT = {"quality": "draft", "options": {"no_face": "speak"}}


class Stack:
    """A whole server, and a client of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        port = port_of(read_state(directory))
        assert port is not None
        self.client = Client(port, new_key(directory))
        self.clip = self.client.upload(CLIP)
        self.submitted = list[str]()

    def process(self, name: str) -> int:
        """The id of one of its processes."""
        (found,) = (one.pid for one in status_of(self.directory).processes if one.name == name)
        assert found is not None
        return found

    def killed_amid(self, victim: Callable[[], int], record: Record, what: str, stage: str = "speaking") -> None:
        """Jobs are sent, the victim dies while the first is at ``stage``, one more is sent: all must be well."""
        once = [f"{what}-{number}" for number in range(JOBS + 1)]
        jobs = [self.client.insist(self.clip, one, **DRAFT) for one in once[:JOBS]]
        until(lambda: self.client.job(jobs[0]).get("stage") == stage, WITHIN_S, 0.01)
        at = kill(victim())
        jobs.append(self.client.insist(self.clip, once[JOBS], **DRAFT))
        until(self.client.dubs, WITHIN_S)
        healthy = time.monotonic() - at
        ended = self.client.ended(jobs, WITHIN_S)
        done = time.monotonic() - at
        tries = [int(job["attempts"]) for job in ended]
        assert [job["state"] for job in ended] == ["done"] * len(jobs), ended
        assert max(tries) <= 2, tries
        assert tries.count(2) <= 1, "one job was running, so one may have been lost"
        # The same requests once more: known ones, which start nothing.
        assert [self.client.insist(self.clip, one, **DRAFT) for one in once] == jobs
        self.submitted += jobs
        assert sorted(self.client.listed()) == sorted(self.submitted)
        for job in jobs:
            assert self._leases(job) == 1, "of one lease alone"
        told(record, f"healthy after {healthy:.1f} s, {len(jobs)} of {len(jobs)} jobs done after {done:.1f} s, "
             f"{sum(tries) - len(tries)} retried")  # fmt: skip

    def _leases(self, job: str) -> int:
        """From how many leases the files of a job's result come."""
        files = self.client.ask("GET", f"/v1/dubs/{job}/result").json["files"]
        stored = Objects(load_settings(state=self.directory).files_root).listing(f"jobs/{job}")
        sizes = {Path(one.key).parent: 0 for one in stored}
        for one in stored:
            sizes[Path(one.key).parent] += one.bytes
        whole = sum(file["bytes"] for file in files.values())
        return sum(size == whole for size in sizes.values())


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The tests below follow one another; what they leave is seen at the end."""
    directory = tmp_path_factory.mktemp("serve")
    options = ServeOptions(model="starter", tuning=Tuning(watch=WatchSettings(deep_s=600)))
    try:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("DUBFLOW_GATEWAY_BURST", "100000")  # the tests ask often how it stands
            start_detached(plan_stack(directory, options, port=0), WITHIN_S, lambda _: None)
        yield Stack(directory)
    finally:
        stop_stack(directory, 60)
    assert not stubs_of(shared_memory_prefix(directory))
    assert not list(Path("/dev/shm").glob(f"{shared_memory_prefix(directory)}*"))


def test_a_killed_stub_loses_and_doubles_no_job(stack: Stack, record_property: Record) -> None:
    def denoiser() -> int:
        (found,) = (one.process for one in running_stubs(stack.directory) if one.model == "diflow_denoiser")
        return found

    stack.killed_amid(denoiser, record_property, "stub")


def test_a_killed_server_loses_and_doubles_no_job(stack: Stack, record_property: Record) -> None:
    stack.killed_amid(lambda: stack.process("triton"), record_property, "server")


def test_a_killed_worker_loses_and_doubles_no_job(stack: Stack, record_property: Record) -> None:
    stack.killed_amid(lambda: stack.process("worker-0"), record_property, "worker")


def test_a_killed_gateway_loses_and_doubles_no_job(stack: Stack, record_property: Record) -> None:
    stack.killed_amid(lambda: stack.process("gateway"), record_property, "gateway")


def test_many_short_jobs_leave_memory_descriptors_and_shared_memory_flat(
    stack: Stack, tmp_path: Path, record_property: Record
) -> None:
    upload = stack.client.upload(make_clip(tmp_path / "short.mp4", frames=15))
    processes = {name: stack.process(name) for name in ("gateway", "worker-0", "keeper", "triton")}
    processes |= {one.model: one.process for one in running_stubs(stack.directory)}
    memory: dict[str, list[tuple[int, float]]] = {name: [] for name in processes}
    files: dict[str, list[int]] = {name: [] for name in processes}
    threads: dict[str, list[int]] = {name: [] for name in processes}
    shared, done, began = list[tuple[int, float]](), 0, time.monotonic()
    while done < WARM + SOAK:
        count = min(AT_ONCE, WARM + SOAK - done)
        jobs = [stack.client.submit(upload, text="Hi.", **DRAFT) for _ in range(count)]
        assert {answer.status for answer in jobs} == {202}
        ended = stack.client.ended([answer.json["id"] for answer in jobs], WITHIN_S)
        assert {(job["state"], job["attempts"]) for job in ended} == {("done", 1)}
        done += count
        if done < WARM:
            continue
        for name, process in processes.items():
            now = held(process)  # also says that it is still the same process
            memory[name].append((done, now.memory_mib))
            files[name].append(now.descriptors)
            threads[name].append(now.threads)
        shared.append((done, shared_mib(stack.directory)))
    seconds = time.monotonic() - began
    grown = {name: slope(values) for name, values in memory.items()}
    told(record_property, f"{SOAK} real dubs of 0.6 s, {SOAK + WARM} in {seconds:.0f} s; MiB per 100 jobs: "
         + ", ".join(f"{name} {each:+.2f}" for name, each in grown.items())
         + f"; /dev/shm {slope(shared):+.2f} MiB; "
         f"at most {_more(files):+d} descriptors, {_more(threads):+d} threads")  # fmt: skip
    first = {name: values[0][1] for name, values in memory.items()}
    more = {name: values[-1][1] - first[name] for name, values in memory.items()}
    assert max(more.values()) < 32 + 0.04 * SOAK, more
    assert _more(files) <= 8, files  # a connection comes and goes
    assert _more(threads) <= 8, threads
    assert shared[-1][1] - shared[0][1] < 1, shared


def _more(seen: dict[str, list[int]]) -> int:
    """By how much the process has grown that has grown most, from the first to the last look."""
    return max(values[-1] - values[0] for values in seen.values())


def shared_mib(directory: Path) -> float:
    """What a server holds of shared memory, in pages that are used."""
    found = Path("/dev/shm").glob(f"{shared_memory_prefix(directory)}*")
    return sum(512 * one.stat().st_blocks for one in found) / 2**20
