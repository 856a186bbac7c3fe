"""What a killed server leaves behind ends, and nobody else's does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dubflow.serving import guard

SLEEP = "import time; time.sleep(60)"


def sleeper(*words: str, name: str = "server") -> subprocess.Popen[bytes]:
    return subprocess.Popen([name, "-c", SLEEP, *words], executable=sys.executable)


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    process = sleeper()
    yield process
    process.kill()
    process.wait()


def test_stubs_of_a_killed_server_end_and_those_of_another_stay(server: subprocess.Popen[bytes]) -> None:
    region = f"dubflowguard{os.getpid()}_region"
    memory = Path("/dev/shm") / region
    memory.write_bytes(b"left")
    mine = sleeper(region, str(server.pid), name="/there/triton_python_backend_stub")
    other = sleeper(region, f"{server.pid}0", name="/there/triton_python_backend_stub")
    nobody = sleeper(str(server.pid), name="/there/another_program")
    watching = subprocess.Popen([sys.executable, "-I", "-S", str(guard.__file__), str(server.pid)])
    try:
        time.sleep(0.3)
        assert watching.poll() is None, "it waits for as long as the server runs"
        assert mine.poll() is None
        server.kill()
        server.wait()
        assert mine.wait(30) == -9
        assert watching.wait(30) == 0
        assert other.poll() is None
        assert nobody.poll() is None
        assert not memory.exists()
    finally:
        memory.unlink(missing_ok=True)
        for process in (mine, other, nobody, watching):
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def test_a_server_that_ended_before_it_looked_is_no_fault(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()
    assert (
        subprocess.run([sys.executable, "-I", "-S", str(guard.__file__), str(server.pid)], timeout=30).returncode == 0
    )
