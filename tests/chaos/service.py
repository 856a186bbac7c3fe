"""What chaos tests share: a client of the HTTP API, a deployment in processes of its own, figures, what processes hold.

The deployment is the real gateway and the real worker as processes; its engine hums (``tests/jobs_room.py``), because
what is broken in those tests is around the engine. Everything listens on loopback and is ended by its process id.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import jobs_room
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.job import ENDED
from dubflow.gateway.keys import KeyStore
from dubflow.gateway.settings import load_settings
from gateway.api import serving_state

Record = Callable[[str, object], None]
HOST = "127.0.0.1"
_START_S = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 where nobody answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of an error."""
        return str(self.json.get("code", "")) if self.body else ""


@dataclass(frozen=True)
class Client:
    """The holder of a key."""

    port: int
    key: str

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None,
        within_s: float = 30.0,
    ) -> Answer:  # fmt: skip
        """One request on a connection of its own."""
        made = http.client.HTTPConnection(HOST, self.port, timeout=within_s)
        try:
            made.request(method, path, body, {"Authorization": f"Bearer {self.key}", **(headers or {})})
            found = made.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        except (OSError, http.client.HTTPException):
            return Answer(0, {}, b"")
        finally:
            made.close()

    def upload(self, clip: Path) -> str:
        """The clip's key."""
        answer = self.ask("POST", "/v1/uploads", clip.read_bytes())
        assert answer.status == 201, answer
        return str(answer.json["key"])

    def submit(self, clip: str, once: str | None = None, **more: Any) -> Answer:
        """Ask for a dub; ``once`` is its Idempotency-Key."""
        body = json.dumps({"clip": clip, "text": "Good morning.", "language": "en", **more}).encode()
        headers = {"Content-Type": "application/json", **({} if once is None else {"Idempotency-Key": once})}
        return self.ask("POST", "/v1/dubs", body, headers)

    def insist(self, clip: str, once: str, within_s: float = 60.0, **more: Any) -> str:
        """As a careful client does: the same request again until it is taken on; the job's id."""
        deadline = time.monotonic() + within_s
        while (answer := self.submit(clip, once, **more)).status not in (200, 202):
            assert answer.status in (0, 503), answer
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)
        return str(answer.json["id"])

    def job(self, job: str) -> dict[str, Any]:
        """How it stands; ``{}`` while nobody answers."""
        answer = self.ask("GET", f"/v1/dubs/{job}")
        return dict(answer.json) if answer.status == 200 else {}

    def ended(self, jobs: Sequence[str], within_s: float) -> list[dict[str, Any]]:
        """Wait until all have ended; how."""
        found: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + within_s
        while len(found) < len(set(jobs)):
            for job in set(jobs) - set(found):
                if (seen := self.job(job)).get("state") in ENDED:
                    found[job] = seen
            assert time.monotonic() < deadline, {job: self.job(job) for job in set(jobs) - set(found)}
            time.sleep(0.1)
        return [found[job] for job in jobs]

    def listed(self) -> list[str]:
        """Ids of all of the tenant's jobs."""
        found, after = list[str](), ""
        while True:
            page = self.ask("GET", f"/v1/dubs?limit=200{after}").json
            found += [one["id"] for one in page["dubs"]]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    def ready(self) -> bool:
        """Whether dubs can be taken on."""
        return self.ask("GET", "/readyz", within_s=10).status == 200

    def dubs(self) -> bool:
        """Whether a real inference through the gateway is fine."""
        return self.ask("GET", "/v1/health/deep", within_s=60).status == 200


@dataclass
class Deployment:
    """A gateway and workers as processes; a context manager that ends them, by their ids.

    Attributes:
        settings: of :class:`~dubflow.gateway.settings.GatewaySettings`, by name. seconds: that a dub takes.
        wrap: what the gateway's command is started by.
    """

    state: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    workers: int = 1
    seconds: float = 0.0
    wrap: Sequence[str] = ()
    port: int = 0
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.state.mkdir(parents=True, exist_ok=True)
        if not self.wrap:
            serving_state(self.state)
        try:
            self.start_gateway()
            for number in range(self.workers):
                self.start_worker(f"worker-{number}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def environment(self) -> dict[str, str]:
        """Of its processes."""
        # Tests ask more often how a job stands than a tenant may: refused, they would wait for what they are not told.
        settings = {"burst": 100_000, **self.settings}
        given = {f"DUBFLOW_GATEWAY_{name.upper()}": str(value) for name, value in settings.items()}
        return {**os.environ, **given, "OMP_NUM_THREADS": "1"}

    def start_gateway(self) -> float:
        """Start it, on the same port as before; the seconds until it listened."""
        began, log = time.monotonic(), self.state.parent / f"{self.state.name}-gateway.out"
        command = [*self.wrap, sys.executable, "-m", "dubflow.gateway", "--state", str(self.state)]
        with log.open("wb") as out, log.with_suffix(".err").open("ab") as errors:
            self.running["gateway"] = subprocess.Popen(
                [*command, "--port", str(self.port)], env=self.environment, stdout=out, stderr=errors
            )
        while not log.read_bytes().endswith(b"\n"):
            assert self.running["gateway"].poll() is None, log.with_suffix(".err").read_text()
            assert time.monotonic() < began + _START_S
            time.sleep(0.02)
        self.port = int(json.loads(log.read_bytes())["port"])
        return time.monotonic() - began

    def start_worker(self, name: str) -> None:
        """One more worker."""
        command = [sys.executable, jobs_room.__file__, str(self.state), str(self.seconds)]
        with (self.state.parent / f"{self.state.name}-{name}.err").open("ab") as errors:
            self.running[name] = subprocess.Popen(command, env=self.environment, stderr=errors)

    def client(self, tenant: str = "acme") -> Client:
        """Somebody with a new key."""
        return Client(self.port, new_key(self.state, tenant, **self.settings))


def new_key(state: Path, tenant: str = "acme", **settings: object) -> str:
    """A key of a deployment."""
    database = Database(load_settings(state=state, **settings).database_url)
    try:
        return KeyStore(database).create(tenant, ("submit", "read", "admin"))[0]
    finally:
        database.close()


def kill(process: int) -> float:
    """SIGKILL; when it was."""
    os.kill(process, signal.SIGKILL)
    return time.monotonic()


def until(condition: Callable[[], bool], within_s: float, pause_s: float = 0.05) -> float:
    """Wait for something, but not for ever; the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + within_s, "it never happened"
        time.sleep(pause_s)
    return time.monotonic() - began


def told(record: Record, figure: str) -> None:
    """Say a test's figure: in its output, and among its properties for ``benchmarks/serving_chaos.py``."""
    record("figure", figure)
    sys.stdout.write(f"figure: {figure}\n")


@dataclass(frozen=True)
class Held:
    """What a process holds at a moment."""

    memory_mib: float
    descriptors: int
    threads: int


def held(process: int) -> Held:
    """Private memory (shared libraries and mapped models do not count), open files, threads."""
    rolled = Path(f"/proc/{process}/smaps_rollup").read_text()
    private = sum(int(line.split()[1]) for line in rolled.splitlines() if line.startswith("Private_"))
    files, threads = (len(list(Path(f"/proc/{process}/{name}").iterdir())) for name in ("fd", "task"))
    return Held(private / 1024, files, threads)


def slope(values: Sequence[tuple[int, float]], per: int = 100) -> float:
    """Least squares: how much more it is after ``per`` more jobs."""
    mean_x = sum(x for x, _ in values) / len(values)
    mean_y = sum(y for _, y in values) / len(values)
    spread = sum((x - mean_x) ** 2 for x, _ in values)
    return per * sum((x - mean_x) * (y - mean_y) for x, y in values) / spread
