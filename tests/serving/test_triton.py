"""The real server: what it promises about sound, progress, cancellation, versions, and what it leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from dubflow.diflow.stored import STARTER, WEIGHTS, find_model
from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.engine import Job
from dubflow.dubbing.watching import UNWATCHED, Stage
from dubflow.errors import BadInput, OurFault
from dubflow.serving.control import Control
from dubflow.serving.environment import why_not
from dubflow.serving.golden import golden_job
from dubflow.serving.launcher import KEY_FILE, TritonServer, read_key, shared_memory_prefix, stubs_of
from dubflow.serving.repository import Installed, install_version, slips_folder
from dubflow.serving.triton_engine import TritonEngine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"Triton cannot run here: {why_not()}"),
]
WITHIN_S = 60.0


@dataclass
class Serving:
    """A running server with version 1, the starter."""

    root: Path
    server: TritonServer
    control: Control
    installed: Installed

    @property
    def repository(self) -> Path:
        return self.root / "models"

    def engine(self, version: int = 1, key: str | None = None) -> TritonEngine:
        return TritonEngine(
            self.server.grpc,
            key or read_key(self.root),
            model="diflow",
            version=version,
            engine_id=self.installed.engine,
            world=self.installed.world,
            languages=self.installed.languages,
            deadline_s=WITHIN_S,
        )

    def metric(self, name: str, **labels: str) -> float:
        """A total of ours from the server's page."""
        lines = httpx.get(f"http://{self.server.metrics}/metrics", trust_env=False).text.splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        found = [line for line in lines if line.startswith(f"{name}{{") and all(one in line for one in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in found)


@dataclass
class Listener:
    """Writes down what it hears, and stops the job when it has heard enough."""

    enough: Callable[[Stage, float], bool] = lambda stage, share: False
    heard: list[tuple[Stage, float]] = field(default_factory=list)

    def stage(self, stage: Stage, share: float) -> None:
        self.heard.append((stage, share))

    def stopped(self) -> bool:
        return any(self.enough(*one) for one in self.heard)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    root = tmp_path_factory.mktemp("state")
    server = TritonServer(root / "models", root)
    server.start()
    try:
        installed = install_version(root / "models", find_model(STARTER), 1)
        control = Control(server.grpc, root, root / "models")
        control.load(1)
        yield Serving(root, server, control, installed)
        control.close()
    finally:
        server.stop()
    # What the whole file did has left nothing: no process, no shared memory, no slip, no key.
    prefix = shared_memory_prefix(root)
    assert not stubs_of(prefix)
    assert not list(Path("/dev/shm").glob(f"{prefix}*"))
    assert not list(slips_folder(root / "models").iterdir())
    assert not (root / KEY_FILE).exists()


@pytest.fixture(scope="module")
def job() -> Job:
    return golden_job()


@pytest.fixture(scope="module")
def in_process() -> DiflowEngine:
    return DiflowEngine.open(STARTER)


def in_two(job: Job) -> Job:
    """The job's words in its first half, and again in its second."""
    (segment,) = job.segments
    half = segment.stop // 2
    segments = (replace(segment, stop=half), replace(segment, first=half, notices=("again",)))
    return replace(job, segments=segments, options=job.options.model_copy(update={"seed": 7}))


def longer(job: Job) -> Job:
    """The job with so many steps that the denoiser is busy for a while."""
    return replace(job, options=job.options.model_copy(update={"steps": 64}))


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_it_speaks_exactly_as_in_process(serving: Serving, in_process: DiflowEngine, job: Job) -> None:
    assert serving.engine().id == in_process.id
    for asked in (job, in_two(job)):
        (here,) = in_process.speak([in_process.look(asked, UNWATCHED)], UNWATCHED)
        engine = serving.engine()
        (there,) = engine.speak([engine.look(asked)])
        assert [one.waveform.tobytes() for one in there] == [one.waveform.tobytes() for one in here]
        assert [(one.planned, one.face_found, one.notices) for one in there] == [
            (one.planned, one.face_found, one.notices) for one in here
        ]


def test_stages_come_in_order_and_shares_only_rise(serving: Serving, job: Job) -> None:
    listener, engine = Listener(), serving.engine()
    engine.speak([engine.look(longer(job))], listener)
    stages = [stage for stage, _ in listener.heard]
    shares = [share for _, share in listener.heard]
    assert stages == sorted(stages, key=("looking", "speaking").index)
    assert set(stages) == {"looking", "speaking"}
    assert shares == sorted(shares)
    assert shares[-1] == 1
    # The flow's own steps are heard, not its beginning and end alone.
    assert sum(0.4 < share < 0.9 for share in shares) >= 2


def test_a_cancelled_job_is_dropped_between_two_steps(serving: Serving, job: Job) -> None:
    dropped = serving.metric("dubflow_denoiser_dropped_total")
    listener = Listener(lambda stage, share: stage == "speaking" and share > 0.4)
    engine = serving.engine()
    with pytest.raises(BadInput, match="cancelled") as caught:
        engine.speak([engine.look(longer(job))], listener)
    assert caught.value.code == "dubbing.cancelled"
    assert listener.heard[-1][1] < 0.9  # the flow was under way, and nowhere near its end
    assert eventually(lambda: serving.metric("dubflow_denoiser_dropped_total") == dropped + 1)
    assert eventually(lambda: not list(slips_folder(serving.repository).iterdir()))
    assert serving.metric("dubflow_dubs_total", outcome="cancelled") >= 1


def test_many_who_leave_at_once_do_not_kill_the_server(serving: Serving, job: Job) -> None:
    engine = serving.engine()
    for _ in range(2):
        listener = Listener(lambda stage, share: True)
        with pytest.raises(BadInput, match="cancelled"):
            engine.speak([engine.look(job)] * 12, listener)
        assert eventually(lambda: not list(slips_folder(serving.repository).iterdir()))
    assert serving.server.ready()
    assert len(engine.speak([engine.look(job)])) == 1


def test_segments_of_several_jobs_share_a_batch(serving: Serving, job: Job) -> None:
    (segment,) = job.segments
    jobs = [replace(longer(job), segments=(replace(segment, stop=segment.stop - less),)) for less in range(4)]
    engine = serving.engine()
    executions = []
    # On a busy machine each may be computed before the next one comes; then nothing waits that could share.
    while len(executions) < 8 and not any(one < len(jobs) for one in executions):
        before = serving.control.statistics("diflow_denoiser", 1)
        spoken = engine.speak([engine.look(one) for one in jobs])
        assert [len(one[0].waveform) for one in spoken] == [640 * one.segments[0].frames for one in jobs]
        after = serving.control.statistics("diflow_denoiser", 1)
        assert after["inferences"] - before["inferences"] == len(jobs)
        executions.append(after["executions"] - before["executions"])
    # The first is alone; those that come while it is computed are one batch, though no two are of one length.
    assert min(executions) < len(jobs)


def test_errors_cross_the_server_as_they_are(serving: Serving, in_process: DiflowEngine, job: Job) -> None:
    lost = replace(job, clip=job.clip.with_name("lost.mp4"))
    with pytest.raises(BadInput) as here:
        in_process.look(lost, UNWATCHED)
    engine = serving.engine()
    with pytest.raises(BadInput) as there:
        engine.speak([engine.look(lost)])
    assert there.value.as_dict() == here.value.as_dict()
    assert serving.metric("dubflow_dubs_total", outcome="refused") >= 1


def test_only_who_has_the_key_is_let_in(serving: Serving, job: Job) -> None:
    stranger = tritonclient.grpc.InferenceServerClient(serving.server.grpc)
    with pytest.raises(InferenceServerException, match="restricted"):
        stranger.unload_model("diflow")
    stranger.close()
    answer = httpx.post(f"http://{serving.server.http}/v2/models/diflow_codec/infer", content=b"[" * 9)
    assert answer.status_code == httpx.codes.FORBIDDEN
    engine = serving.engine(key="another")
    with pytest.raises(OurFault) as caught:
        engine.speak([engine.look(job)])
    assert caught.value.code == "serving.no_key"


def test_versions_come_and_go_beside_one_another(serving: Serving, job: Job) -> None:
    """One server, several versions: a broken one, a second, one whose process dies, one that is ended."""
    prefix = shared_memory_prefix(serving.root)
    first = set(stubs_of(prefix))
    broken = serving.root / "broken"
    shutil.copytree(serving.installed.folder, broken)
    (broken / WEIGHTS).write_bytes(b"no weights")
    install_version(serving.repository, broken, 3)
    with pytest.raises(OurFault, match="bad_weights_file") as caught:
        serving.control.load(3)
    assert caught.value.code == "serving.not_loaded"
    assert (serving.control.is_ready(1), serving.control.is_ready(3)) == (True, False)
    assert first <= set(stubs_of(prefix))  # what ran runs, in the same processes

    install_version(serving.repository, serving.installed.folder, 2)
    serving.control.load(2)
    assert (serving.control.is_ready(1), serving.control.is_ready(2)) == (True, True)
    assert first <= set(stubs_of(prefix))
    second = serving.engine(2)
    second.speak([second.look(job)])
    assert serving.control.statistics("diflow_denoiser", 2)["inferences"] == 1

    mine = [one for one in set(stubs_of(prefix)) - first if b"diflow_denoiser/2/" in _command(one)]
    assert len(mine) == 1
    os.kill(mine[0], signal.SIGKILL)
    with pytest.raises(OurFault) as dead:
        second.speak([second.look(job)])
    assert dead.value.code == "serving.part_failed"
    assert serving.control.is_ready(2)  # which is why readiness is no health
    serving.control.reload(2)
    assert len(second.speak([second.look(job)])) == 1

    listener = Listener()
    with ThreadPoolExecutor(1) as pool:
        last = pool.submit(second.speak, [second.look(longer(job))], listener)
        assert eventually(lambda: any(stage == "speaking" for stage, _ in listener.heard))
        serving.control.unload(2)
        assert len(last.result()[0]) == 1  # what was begun was finished
    assert (serving.control.is_ready(1), serving.control.is_ready(2)) == (True, False)
    with pytest.raises(OurFault) as gone:
        second.speak([second.look(job)])
    assert gone.value.code == "serving.not_loaded"
    assert first <= set(stubs_of(prefix))
    assert len(serving.engine().speak([serving.engine().look(job)])) == 1


def test_no_server_outlives_who_started_it(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("children.py")), str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.wait()
    prefix = shared_memory_prefix(tmp_path)
    assert eventually(lambda: not Path(f"/proc/{server}").exists() or _is_zombie(server))
    assert eventually(lambda: not stubs_of(prefix))
    # Another start in the same folder removes what a killed server could not.
    again = TritonServer(tmp_path / "models", tmp_path)
    again.start()
    again.stop()
    assert not list(Path("/dev/shm").glob(f"{prefix}*"))


def _command(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def _is_zombie(process: int) -> bool:
    return ") Z " in Path(f"/proc/{process}/stat").read_text(encoding="utf-8")


def test_calls_leave_no_thread_behind_however_they_end(serving: Serving, job: Job) -> None:
    engine = serving.engine()
    engine.speak([engine.look(job)])
    before = threading.active_count()
    for _ in range(3):
        engine.speak([engine.look(job)])
        with pytest.raises(BadInput, match="cancelled"):
            engine.speak([engine.look(job)], Listener(lambda stage, share: stage == "speaking"))
    deadline = time.monotonic() + 10  # gRPC's own end a moment later
    while threading.active_count() > before:
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.05)
