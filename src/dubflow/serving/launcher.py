"""Starts and stops the real tritonserver, so that nothing of it is left behind, whoever dies first.

It listens on loopback unless it was told another address; everything but health and metadata wants a key, which is
made anew at each start where none was given. The key stands on its command line (the server takes it no other way),
which other users of the machine may read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from dubflow.atomic import atomic_file
from dubflow.errors import OurFault
from dubflow.parallel import end_with_parent
from dubflow.serving import guard
from dubflow.serving.environment import Wheel, check_numpy, find_wheel, libpython, no_triton, why_not
from dubflow.serving.guard import SHARED_MEMORY, stubs_with
from dubflow.serving.listening import LOOPBACK, Listening
from dubflow.serving.repository import slips_folder
from dubflow.serving.settings import TritonSettings
from dubflow.serving.slips import sweep_slips

KEY_FILE = "triton.key"
LOG_FILE = "triton.log"
HTTP_HEADER = "triton-key"
GRPC_HEADER = "triton-grpc-protocol-triton-key"
_RESTRICTED = "inference,model-repository,model-config,shared-memory,statistics,trace,logging"
_TRIES = 3
_LOOK_S = 0.05


class TritonServer:
    """One server over a model repository; a folder of its own keeps key, log and links.

    Attributes:
        repository: where :func:`dubflow.serving.repository.install_version` puts models.
    """

    def __init__(
        self,
        repository: Path,
        folder: Path,
        settings: TritonSettings | None = None,
        listening: Listening | None = None,
    ) -> None:
        """
        Args:
            listening: address, ports and key; by default loopback, free ports and a new key, whatever the environment.
        """
        self.repository = Path(repository).absolute()
        self._listening = listening or Listening.model_construct()
        self._folder, self._settings = Path(folder).absolute(), settings or TritonSettings()
        self._prefix = shared_memory_prefix(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._ports = (0, 0, 0)

    @property
    def http(self) -> str:
        """HOST:PORT, as processes of this machine reach it."""
        return f"{LOOPBACK}:{self._ports[0]}"

    @property
    def grpc(self) -> str:
        """HOST:PORT."""
        return f"{LOOPBACK}:{self._ports[1]}"

    @property
    def metrics(self) -> str:
        """HOST:PORT."""
        return f"{LOOPBACK}:{self._ports[2]}"

    @property
    def pid(self) -> int | None:
        """Of the process, if one was started."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> Path:
        """What the server says."""
        return self._folder / LOG_FILE

    def start(self) -> None:
        """Start the server and wait until it answers; it has no model yet.

        Raises:
            WrongUse: ``serving.numpy_2``, ``serving.no_triton``.
            OurFault: ``serving.server_failed`` with the log's end.
        """
        check_numpy()
        wheel = find_wheel()
        reason = why_not()
        if reason or wheel is None:
            raise no_triton(reason)
        self.repository.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        backends = self._backends(wheel)
        for left in reversed(range(_TRIES)):
            # Nobody keeps a port for us between looking and starting: when another was quicker, look again.
            http, grpc, metrics = (
                wanted or free for wanted, free in zip(self._listening.ports, free_ports(3), strict=True)
            )
            self._ports = (http, grpc, metrics)
            self._spawn(wheel, backends)
            try:
                self._await_ready()
            except OurFault:
                self.stop(0)
                if not left or "in use" not in self._log_end():
                    raise
            else:
                return

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def ready(self) -> bool:
        """Whether the process runs and its HTTP server answers; what models do is another question."""
        if not self.alive():
            return False
        try:
            answer = httpx.get(f"http://{self.http}/v2/health/live", timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def stop(self, patience_s: float | None = None) -> None:
        """End the server: running jobs may finish for ``patience_s``, then it is killed. Nothing stays in memory."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(self._settings.stop_s + 2 if patience_s is None else patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._process = None
        if process is not None:
            self._end_children(process.pid)
        self._sweep()
        (self._folder / KEY_FILE).unlink(missing_ok=True)

    def _spawn(self, wheel: Wheel, backends: Path) -> None:
        given = self._listening.key
        key = secrets.token_urlsafe(32) if given is None else given.get_secret_value()
        with atomic_file(self._folder / KEY_FILE) as part:
            part.touch(0o600)
            part.write_text(key, encoding="utf-8")
        started = threading.Event()
        failure: list[OSError] = []

        def keep() -> None:
            # "Parent" means the thread that starts a process: were this the caller's and ended, so would the server.
            try:
                with self.log.open("ab") as log:
                    self._process = subprocess.Popen(
                        self._command(wheel, backends, key),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env=_environment(),
                        start_new_session=True,  # Ctrl-C is for the supervisor, which then drains this one
                        preexec_fn=lambda: end_with_parent(signal.SIGKILL),
                    )
            except OSError as error:
                failure.append(error)
                return
            finally:
                started.set()
            self._process.wait()

        threading.Thread(target=keep, name="triton", daemon=True).start()
        started.wait()
        if failure:
            raise OurFault("serving.server_failed", f"Triton cannot be started: {failure[0]}.") from failure[0]
        assert self._process is not None  # or there was a failure
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(guard.__file__), str(self._process.pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _command(self, wheel: Wheel, backends: Path, key: str) -> list[str]:
        http, grpc, metrics = self._ports
        return [
            str(wheel.server),
            f"--model-repository={self.repository}",
            f"--backend-directory={backends}",
            f"--http-address={LOOPBACK}",
            *(f"--{name}-address={self._listening.host}" for name in ("grpc", "metrics")),
            f"--http-port={http}",
            f"--grpc-port={grpc}",
            f"--metrics-port={metrics}",
            "--model-control-mode=explicit",
            "--strict-readiness=false",
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={round(self._settings.stop_s)}",
            f"--http-restricted-api={_RESTRICTED}:{HTTP_HEADER}={key}",
            f"--grpc-restricted-protocol={_RESTRICTED}:{GRPC_HEADER.removeprefix('triton-grpc-protocol-')}={key}",
            f"--backend-config=python,shm-region-prefix-name={self._prefix}",
            "--backend-config=python,shm-default-byte-size=1048576",
            f"--allow-gpu-metrics={str(self._settings.device == 'gpu').lower()}",
            "--pinned-memory-pool-byte-size=0",
            "--metrics-config=histogram_latencies=true",
        ]

    def _backends(self, wheel: Wheel) -> Path:
        """A folder of backends with links: a copied stub finds neither its libraries nor the server."""
        folder = self._folder / "backends"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "python").mkdir(parents=True)
        for source in wheel.backend:
            (folder / "python" / source.name).symlink_to(source)
        return folder

    def _await_ready(self) -> None:
        until = time.monotonic() + self._settings.start_s
        while not self.ready():
            if not self.alive() or time.monotonic() > until:
                problem = "is not ready in time" if self.alive() else "ended at once"
                raise OurFault(
                    "serving.server_failed",
                    f"Triton {problem}: {self._log_end()}",
                    f"Its log: {self.log}.",
                )
            time.sleep(_LOOK_S)

    def _log_end(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "it has no log"
        told = [line for line in lines if line.startswith(("E", "F")) or "rror" in line]
        return (told or lines or ["it said nothing"])[-1][:300]

    def _end_children(self, server: int) -> None:
        """Wait for stubs whose server is gone; they notice within seconds, and are ended where they do not."""
        for child in stubs_of(self._prefix):
            _end(child)

    def _sweep(self) -> None:
        """Remove what a server of this folder left behind that could not do so itself."""
        for path in SHARED_MEMORY.glob(f"{self._prefix}*"):
            path.unlink(missing_ok=True)
        sweep_slips(slips_folder(self.repository))


def shared_memory_prefix(folder: Path) -> str:
    """How shared memory of the server of this folder is named; another folder, another name."""
    return f"dubflow{hashlib.sha256(str(Path(folder).absolute()).encode()).hexdigest()[:12]}_"


def read_key(folder: Path) -> str:
    """The key of the running server of this folder.

    Raises:
        OurFault: ``serving.no_key`` when no server runs there.
    """
    try:
        return (Path(folder) / KEY_FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise OurFault("serving.no_key", f"No server runs in {folder}: it has no key.", "Start it.") from error


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of loopback that nobody listens on at this moment."""
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return tuple(int(one.getsockname()[1]) for one in sockets)


def stubs_of(prefix: str) -> list[int]:
    """Process ids of Python stubs whose shared memory has this prefix: it stands on their command line."""
    return list(stubs_with(prefix))


def _end(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def _environment() -> dict[str, str]:
    """Which Python the stubs become (the first ``python3`` of PATH), and which libpython they load."""
    library = libpython()
    libraries = [str(library)] if library else []
    libraries += [path for path in [os.environ.get("LD_LIBRARY_PATH")] if path]
    path = [str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)]
    return {**os.environ, "PATH": os.pathsep.join(path), "LD_LIBRARY_PATH": os.pathsep.join(libraries)}
