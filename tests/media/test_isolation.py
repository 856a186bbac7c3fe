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

import av
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


def external_mov(other: Path, clip: Path) -> bytes:
    """``clip`` without its own pictures: its data reference is an alias record that names the file ``other``."""
    data = clip.read_bytes()
    own = struct.pack(">I4sI", 12, b"url ", 1)
    assert data.count(own) == 1
    location = bytes(other) + b"\0" * (len(bytes(other)) % 2)
    record = (
        *(b"\0" * 10, b"\0" * 28, b"\0" * 12, b"\0" * 64, b"\0" * 16),  # no volume, no file name
        struct.pack(">HH", 1, 1) + b"\0" * 16,
        *(struct.pack(">HH", 2, len(location)) + location, struct.pack(">HH", 0xFFFF, 0)),
    )
    alias = b"".join(record)
    reference = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    at = data.index(own)
    patched = bytearray(data.replace(own, reference))
    for kind in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        start = data.rindex(kind, 0, at) - 4
        size = struct.unpack(">I", patched[start : start + 4])[0]
        patched[start : start + 4] = struct.pack(">I", size + len(reference) - len(own))
    mdat = data.index(b"mdat") + 4
    end = mdat - 8 + struct.unpack(">I", data[mdat - 8 : mdat - 4])[0]
    assert end < at, "the pictures lie before the references"
    patched[mdat:end] = bytes(end - mdat)
    return bytes(patched)


def test_a_data_reference_to_another_file_is_not_followed(session_maker, code_of):
    clip = session_maker.video("referred.mp4", [i * 512 for i in range(5)], Fraction(1, 12800))
    trap = session_maker.folder / "trap.mp4"
    trap.write_bytes(external_mov(clip, clip))
    # The trap works: a reader that follows references shows the other file's pictures.
    with av.open(str(trap), container_options={"enable_drefs": "1"}) as container:
        assert len(list(container.decode(video=0))) == 5
    assert code_of(lambda: read_clip(trap, audio=False)) == "media.damaged"


def test_nothing_is_fetched_and_no_other_file_is_read(tmp_path, server, session_maker, code_of):
    address, seen = server
    secret = session_maker.video("secret.mp4", [i * 512 for i in range(5)], Fraction(1, 12800))
    traps = {
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}/a.ts\n#EXTINF:1,\n{secret}\n",
        "hls-mark.mp4": f"\ufeff \n#EXTM3U\n{address}/x.ts\n",
        "concat.mp4": f"ffconcat version 1.0\nfile '{secret}'\nfile '{address}/x.mp4'\n",
        "concat-plain.mp4": f"file '{secret}'\n",
        "session.mp4": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n",
        "dash.mp4": f'<?xml version="1.0"?>\n<!-- x -->\n<MPD><BaseURL>{address}/</BaseURL></MPD>',
        "smooth.mp4": '<SmoothStreamingMedia MajorVersion="2"></SmoothStreamingMedia>',
        "pls.mp4": f"[playlist]\nFile1={address}/x.mp3\n",
        "address.mp4": f"{address}/x.mp4\n",
        "image-%d.png": "#EXTM3U\n",
    }
    dubbed = tmp_path / "dubbed.mp4"
    for name, content in traps.items():
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        assert code_of(lambda path=path: probe(path)) == "media.playlist", name
        assert code_of(lambda path=path: read_clip(path, audio=False)) == "media.playlist", name
        assert code_of(lambda path=path: replace_audio(path, np.zeros(9), 8000, dubbed)) == "media.playlist", name
    # Names are never taken for addresses either.
    assert code_of(lambda: probe(f"{address}/x.mp4")) == "media.missing"
    assert code_of(lambda: probe(f"concat:{secret}|{secret}")) == "media.missing"
    assert seen == []


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
    descriptors = {str(entry.readlink()) for entry in Path(f"/proc/{child}/fd").iterdir()}
    files = {target for target in descriptors if target.startswith("/") and not target.startswith("/dev/")}
    assert files == {str(long_clip)}
    assert "/dev/shm" not in Path(f"/proc/{child}/maps").read_text()
    assert not [v for v in Path(f"/proc/{child}/environ").read_bytes().split(b"\0") if v.startswith(b"PATH=")]
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
    chunks = stream_frames(long_clip, MANY, limits=Limits(wall_s=3.0))
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
    assert len(first) + sum(len(chunk) for chunk in chunks) == 20000


@pytest.mark.slow
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


def test_a_forked_copy_that_leaves_a_stream_does_not_end_the_originals(long_clip):
    stream = stream_frames(long_clip, fps=MANY)
    got = len(next(stream))
    child = os.fork()
    if child == 0:
        try:
            stream.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert got + sum(map(len, stream)) == 10 * MANY


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
