"""A decoding process under a hostile file's control can say anything; none of it gets further than a typed error."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubflow.errors import DubflowError
from dubflow.media import decode, probe, sandbox, wire
from dubflow.media.limits import Limits


class Impostor:
    """Stands where the sandbox stands; its "child" says what the test wants said."""

    def __init__(self, say: Callable[[socket.socket], None]) -> None:
        self._say = say

    @contextmanager
    def job(self, task: str, file: object, name: str, limits: Limits, arguments: dict, files: tuple = ()) -> Iterator:
        ours, theirs = socket.socketpair()
        status, told = os.pipe()

        def child() -> None:
            try:
                self._say(theirs)
            except OSError:
                pass  # the parent has heard enough
            finally:
                theirs.close()
                os.write(told, struct.pack("<i", 0))

        thread = threading.Thread(target=child)
        thread.start()
        try:
            yield sandbox.Job(name, limits, ours, status)
        finally:
            ours.close()
            thread.join()
            os.close(status)
            os.close(told)


@pytest.fixture
def end_of(monkeypatch, tmp_path) -> Callable[[Callable[[socket.socket], None]], list[str]]:
    """The codes with which each reader ends when its child says that."""
    path = tmp_path / "x.mp4"
    path.write_bytes(b"anything")

    def ends(say: Callable[[socket.socket], None]) -> list[str]:
        for module in (decode, probe):
            monkeypatch.setattr(module, "shared_sandbox", lambda: Impostor(say))
        codes = []
        for call in (read_picture, read_sound, stream_picture, probe.probe):
            try:
                call(path)
                codes.append("fine")
            except DubflowError as error:
                codes.append(error.code)
        return codes

    return ends


def read_picture(path: Path) -> None:
    decode.read_clip(path, audio=False, limits=Limits(wall_s=5))


def read_sound(path: Path) -> None:
    decode.read_audio(path, limits=Limits(wall_s=5))


def stream_picture(path: Path) -> None:
    for _ in decode.stream_frames(path, limits=Limits(wall_s=5)):
        pass


INDEX = {"source": 1, "shown": 1, "time_base": [1, 1], "notices": []}
PICTURE = {"height": 2, "width": 2, "stream": 0, "rate": [25, 1], "expected": 3, "container": "mov"}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [("end", b"", {})],
        [("frames", bytes(12), {"count": 1})],
        [("picture", b"", {**PICTURE, "height": 10**9, "width": 10**9})],
        [("picture", b"", {**PICTURE, "height": "tall"})],
        [("picture", b"", {**PICTURE, "rate": [1, 0]})],
        [("picture", b"", {**PICTURE, "rate": None}), ("frames", b"x" * 12, {"count": 10**15})],
        [("picture", b"", PICTURE), ("frames", b"x" * 13, {"count": 1})],
        [("picture", b"", PICTURE), ("frames", b"x" * 12, {"count": -1})],
        [("picture", b"", PICTURE), ("frames", b"x" * 12, {"count": 1}), ("end", b"", {})],
        [
            ("picture", b"", PICTURE),
            ("index", bytes(16), {**INDEX, "time_base": [1, 0]}),
        ],
        [("picture", b"", PICTURE), ("index", bytes(16), {**INDEX, "source": 10**12})],
        [
            ("picture", b"", PICTURE),
            ("index", b"\x09" * 16, INDEX),
        ],
        [("sound", b"", {"stream": 0, "rate": "fast", "container": "wav"})],
        [("samples", bytes(4), {"count": 10**12})],
        [("survey", b"", {"streams": [{}], "default": {}})],
        [("survey", b"", {"streams": 5})],
        [("error", b"", {"family": "SystemExit", "code": "media.x"})],
        [("error", b"", {"family": "BadInput", "code": "corpora.pretended"})],
    ],
)
def test_nonsense_is_a_typed_error(end_of, messages):
    def say(child: socket.socket) -> None:
        for kind, payload, fields in messages:
            wire.send(child, kind, payload, **fields)

    codes = end_of(say)
    assert set(codes) <= {"media.crashed", "media.no_reader", "fine"}
    assert "media.crashed" in codes or "media.no_reader" in codes
    # Reading whole checks the most; a stream may end before it can know.
    assert codes[0] in ("media.crashed", "media.no_reader")


@given(noise=st.binary(max_size=200))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_a_typed_error(end_of, noise):
    codes = end_of(lambda child: child.sendall(noise))
    assert set(codes) <= {"media.crashed", "media.no_reader"}


def test_a_header_too_large_is_not_awaited(end_of):
    codes = end_of(lambda child: child.sendall(struct.pack("<IQ", 2**32 - 1, 0)))
    assert set(codes) == {"media.crashed"}


def test_messages_arrive_as_sent():
    ours, theirs = socket.socketpair()
    data = np.arange(1000, dtype=np.float32)
    wire.send(theirs, "samples", data.data, count=1000, exact=wire.pack_fraction(None))
    theirs.close()
    header = wire.receive_header(ours.recv_into)
    assert (header.kind, header.fields, header.payload) == ("samples", {"count": 1000, "exact": None}, 4000)
    back = np.empty(1000, np.float32)
    wire.receive_into(ours.recv_into, back.data.cast("B"))
    assert np.array_equal(back, data)
    assert wire.receive_header(ours.recv_into) is None
    ours.close()
