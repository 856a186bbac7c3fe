"""The decoding process can reach nothing, takes nobody down with it, and leaves nothing behind."""

from __future__ import annotations

import http.server
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import BadInput, DubflowError
from dubflow.media.decode import read_clip, stream_frames
from dubflow.media.encode import replace_audio
from dubflow.media.limits import MEBI, Limits
from dubflow.media.probe import probe
from dubflow.media.sandbox import shared_sandbox


# Frames a second: so many that a child is still at work when its first chunk is here.
MANY = 2000


def children(process: int) -> list[int]:
    """Process ids of the living children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == process and state != "Z":
                found.append(int(entry.name))
    return found


def gone(process: int, within_s: float = 20.0) -> bool:
    """Whether a process ends (or is a zombie of another's) within some seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def long_clip(session_maker, clicking) -> Path:
    """Ten seconds of picture and sound."""
    ticks = [i * 512 for i in range(250)]
    return session_maker.video("long.mp4", ticks, Fraction(1, 12800), sound=clicking(10.0, 16000, [1.0]))


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A web server on the loopback interface that notes every request."""
    seen: list[str] = []

    class Note(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Note)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}", seen
    listening.shutdown()
    thread.join()
    listening.server_close()


def external_mov(target: str, clip: Path) -> bytes:
    """An MP4 whose data references point to another file instead of to itself."""
    data = clip.read_bytes()
    own = struct.pack(">I4sI", 12, b"url ", 1)
    assert own in data
    location = target.encode() + b"\0"
    other = struct.pack(">I4sI", 12 + len(location), b"url ", 0) + location
    # The boxes around it grow; enough of them are patched that the demuxer reads the reference.
    at = data.index(own)
    patched = bytearray(data.replace(own, other))
    growth = len(other) - len(own)
    for kind in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        start = data.rindex(kind, 0, at) - 4
        size = struct.unpack(">I", patched[start : start + 4])[0]
        patched[start : start + 4] = struct.pack(">I", size + growth)
    return bytes(patched)


def test_nothing_is_fetched_and_no_other_file_is_read(tmp_path, server, session_maker):
    address, seen = server
    clip = session_maker.video("one.mp4", [i * 512 for i in range(5)], Fraction(1, 12800))
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(clip.read_bytes())
    os.utime(secret, ns=(1, 1))
    traps = {
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}/segment.ts\n{secret}\n#EXT-X-ENDLIST\n".encode(),
        "hls-bom.mp4": b"\xef\xbb\xbf \n#EXTM3U\n" + f"{address}/x.ts\n".encode(),
        "concat.mp4": f"ffconcat version 1.0\nfile '{secret}'\nfile '{address}/x.mp4'\n".encode(),
        "concat-plain.mp4": f"file '{secret}'\n".encode(),
        "session.mp4": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n",
        "dash.mp4": f'<?xml version="1.0"?>\n<!-- x -->\n<MPD><BaseURL>{address}/</BaseURL></MPD>'.encode(),
        "smooth.mp4": b'<SmoothStreamingMedia MajorVersion="2"></SmoothStreamingMedia>',
        "pls.mp4": f"[playlist]\nFile1={address}/x.mp3\n".encode(),
        "address.mp4": f"{address}/x.mp4\n".encode(),
        "reference.mp4": external_mov(f"{address}/other.mov", clip),
        "reference-file.mp4": external_mov(f"file://{secret}", clip),
        "image-%d.png": b"#EXTM3U\n",
    }
    for name, content in traps.items():
        path = tmp_path / name
        path.write_bytes(content)
        for call in (
            probe,
            lambda p: read_clip(p, audio=False),
            lambda p: replace_audio(p, np.zeros(9), 8000, tmp_path / "o.mp4"),
        ):
            if "reference" in name:
                # The reference is ignored; whatever comes is from the file itself.
                try:
                    call(path)
                except BadInput:
                    pass
                continue
            with pytest.raises(BadInput) as caught:
                call(path)
            assert caught.value.code == "media.playlist", name
    assert seen == []
    assert secret.stat().st_atime_ns == 1, "somebody read the secret file"


def test_the_child_can_open_nothing_and_has_only_what_it_was_given(long_clip):
    limits = Limits(memory=900 * MEBI, wall_s=77)
    chunks = stream_frames(long_clip, MANY, limits=limits)
    next(chunks)
    (child,) = children(shared_sandbox().process_id)
    rows = Path(f"/proc/{child}/limits").read_text().splitlines()
    kept = {row[:26].strip(): row[26:47].strip() for row in rows}
    assert kept["Max open files"] == "0"
    assert kept["Max file size"] == "0"
    assert kept["Max core file size"] == "0"
    assert kept["Max address space"] == str(900 * MEBI)
    assert kept["Max cpu time"] == "77"
    descriptors = {os.readlink(entry) for entry in Path(f"/proc/{child}/fd").iterdir()}
    files = {target for target in descriptors if target.startswith("/") and not target.startswith("/dev/")}
    assert files == {str(long_clip)}
    assert b"PATH=" not in Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
    chunks.close()
    assert gone(child)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGKILL])
def test_a_crash_of_the_child_is_a_typed_error_and_the_next_file_is_fine(long_clip, number):
    chunks = stream_frames(long_clip, MANY)
    next(chunks)
    (child,) = children(shared_sandbox().process_id)
    os.kill(child, number)
    with pytest.raises(BadInput) as caught:
        list(chunks)
    assert caught.value.code == ("media.memory" if number == signal.SIGKILL else "media.crashed")
    assert read_clip(long_clip).frame_count == 250


def test_a_child_that_hangs_is_ended(long_clip):
    chunks = stream_frames(long_clip, MANY, limits=Limits(wall_s=1.0))
    next(chunks)
    (child,) = children(shared_sandbox().process_id)
    os.kill(child, signal.SIGSTOP)
    with pytest.raises(BadInput) as caught:
        list(chunks)
    assert caught.value.code == "media.too_slow"
    assert gone(child)


def test_the_callers_own_time_does_not_count(long_clip):
    chunks = stream_frames(long_clip, MANY, limits=Limits(wall_s=5.0))
    first = next(chunks)
    time.sleep(0.2)
    waited = Limits(wall_s=5.0)
    assert waited.wall_s == 5.0
    assert len(first) + sum(len(chunk) for chunk in chunks) == 20000


def test_a_dead_zygote_is_replaced(long_clip):
    zygote = shared_sandbox().process_id
    os.kill(zygote, signal.SIGKILL)
    assert gone(zygote)
    assert read_clip(long_clip).frame_count == 250
    assert shared_sandbox().process_id != zygote


def test_many_threads_at_once(long_clip):
    with ThreadPoolExecutor(6) as pool:
        clips = list(pool.map(lambda _: read_clip(long_clip), range(12)))
    assert all(np.array_equal(clip.frames, clips[0].frames) for clip in clips)
    assert not children(shared_sandbox().process_id)


_PARENT = """
import sys, time
from dubflow.media.decode import stream_frames
from dubflow.media.sandbox import shared_sandbox
chunks = stream_frames(sys.argv[1], 2000)
next(chunks)
print(shared_sandbox().process_id, flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
"""


@pytest.mark.parametrize("end", ["kill", "leave"])
def test_no_process_outlives_its_parent(long_clip, end):
    before = set(os.listdir("/dev/shm"))
    mode = "wait" if end == "kill" else "leave"
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(long_clip), mode], stdout=subprocess.PIPE, text=True)
    zygote = int(parent.stdout.readline())
    jobs = children(zygote)
    if end == "kill":
        assert len(jobs) == 1
        parent.kill()
    parent.wait(30)
    parent.stdout.close()
    assert gone(zygote)
    assert all(gone(job) for job in jobs)
    assert set(os.listdir("/dev/shm")) <= before


def test_a_forked_process_gets_its_own_zygote(long_clip):
    ours = shared_sandbox().process_id
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, f"{read_clip(long_clip).frame_count} {shared_sandbox().process_id}".encode())
            shared_sandbox().close()
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    count, theirs = os.read(reading, 100).split()
    os.close(reading)
    assert int(count) == 250
    assert int(theirs) != ours
    assert read_clip(long_clip).frame_count == 250


def test_errors_travel_whole(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_text("#EXTM3U\n")
    with pytest.raises(DubflowError) as caught:
        probe(path)
    error = caught.value
    assert isinstance(error, BadInput)
    assert (error.code, error.users_doing, int(error.exit_code)) == ("media.playlist", True, 3)
    assert "x.mp4" in error.headline
    assert error.hint
