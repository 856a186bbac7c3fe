"""A Postgres server of its own for tests, where the machine has its programs; on a socket in a folder, no port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDERS = ("/usr/lib/postgresql",)


def programs() -> Path | None:
    """The folder with initdb and postgres, or None where there is none."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    for folder in _FOLDERS:
        candidates += sorted(Path(folder).glob("*/bin"), reverse=True)
    return next((one for one in candidates if (one / "postgres").exists() and (one / "initdb").exists()), None)


@contextmanager
def running() -> Iterator[str]:
    """The URL of an empty database, while the server runs."""
    binaries = programs()
    assert binaries is not None
    user = pwd.getpwnam("postgres" if _has("postgres") else "nobody") if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="dubflow-postgres-"))
    identity = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        if user is not None:  # the server refuses to run as root
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = folder / "data"
        init = [binaries / "initdb", "-D", data, "-U", "dubflow", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        subprocess.run(init, check=True, capture_output=True, cwd=folder, **identity)  # type: ignore[call-overload]
        arguments = ["-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        server = subprocess.Popen(  # type: ignore[call-overload]
            [binaries / "postgres", *arguments], cwd=folder, stderr=subprocess.DEVNULL, **identity
        )
        try:
            url = f"postgresql+psycopg://dubflow@/postgres?host={folder}"
            _wait(url, server)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # a fast shut-down: clients that are still there are sent away
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url.replace("+psycopg", "")).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
