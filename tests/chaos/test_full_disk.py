"""A disk that is full, a real one of 6 MiB: typed refusals, nothing half-written, and on it goes once there is room."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from chaos.service import HOST, Deployment, Record, told
from dubflow.media.encode import write_clip

MIB = 2**20
_NAMESPACE = ["unshare", "--map-root-user", "--mount"]
_MOUNT = 'mount -t tmpfs -o size=6m none "$1" && shift && exec "$@"'


def _possible() -> bool:
    """Whether a process may have a small disk of its own."""
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _possible(), reason="no process may mount a disk of its own here (unshare --mount)"),
]


def noise(path: Path, mebibytes: float) -> Path:
    """A clip of about so many bytes: noise does not compress."""
    frames = np.random.default_rng(1).integers(0, 255, (25, 320, 320, 3), dtype=np.uint8)
    sound = np.zeros(16_000, np.float32)
    write_clip(path, frames, 25, sound, 16_000)
    content = path.read_bytes()
    path.write_bytes(content + b"\0\0\0\0free" * max(0, int(mebibytes * MIB - len(content)) // 8))
    return path


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path: Path, record_property: Record) -> None:
    state = tmp_path / "state"
    state.mkdir()
    settings = {"spare_bytes": 0, "database": f"sqlite:///{tmp_path / 'gateway.db'}"}
    wrap = [*_NAMESPACE, "sh", "-c", _MOUNT, "sh", str(state)]
    with Deployment(state, settings, workers=0, wrap=wrap) as service:
        # The disk is the gateway's alone; from outside it is seen through the process.
        disk = Path(f"/proc/{service.running['gateway'].pid}/root{state}")
        client = service.client()

        def received() -> list[str]:
            """Whatever files of uploads there are."""
            return [str(path) for name in ("spool", "files/uploads") for path in (disk / name).rglob("*.*")]

        clip = noise(tmp_path / "clip.mp4", 3.5).read_bytes()
        announced = client.ask("POST", "/v1/uploads", secrets.token_bytes(8 * MIB))
        silent = _unannounced(client.port, client.key, 8)
        assert shutil.disk_usage(disk).free > 5 * MIB, "nothing stays"
        twice = client.ask("POST", "/v1/uploads", clip)  # it can be received, and then not be stored
        for told_so in ((announced.status, announced.code), silent, (twice.status, twice.code)):
            assert told_so == (507, "gateway.disk_full")
        assert received() == []
        assert client.ask("GET", "/healthz").status == 200
        # Full to the last byte: nothing can be taken on, and that is said as well.
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))
        small = client.ask("POST", "/v1/uploads", clip[: 64 * 1024])
        assert (small.status, small.code) == (507, "gateway.disk_full")
        assert client.ask("GET", "/readyz").status == 503
        (disk / "ballast").unlink()
        fits = noise(tmp_path / "fits.mp4", 0).read_bytes()
        assert len(fits) < 2.5 * MIB
        kept = client.ask("POST", "/v1/uploads", fits)
        assert kept.status == 201, kept
        assert client.submit(kept.json["key"]).status == 202
        assert shutil.disk_usage(disk).free > 5 * MIB - len(fits)
    told(record_property, "4 x 507 (announced, unannounced, received but not stored, not a byte left), 0 bytes left "
         "behind; with room again taken on at once")  # fmt: skip


def _unannounced(port: int, key: str, mebibytes: int) -> tuple[int, str]:
    """Status and code for an upload that does not say how large it will be."""

    def pieces() -> Iterator[bytes]:
        for _ in range(mebibytes):
            yield secrets.token_bytes(MIB)

    made = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {key}", "Transfer-Encoding": "chunked"}
        with contextlib.suppress(OSError):  # it has answered and closed already; the answer is still there
            made.request("POST", "/v1/uploads", pieces(), headers, encode_chunked=True)
        found = made.getresponse()
        return found.status, str(json.loads(found.read())["code"])
    finally:
        made.close()
