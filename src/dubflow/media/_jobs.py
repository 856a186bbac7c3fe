"""What a decoding process does: confine itself, run one task on one file, answer.

Every answer is a message of :mod:`dubflow.media.wire`; the last one is ``end`` or ``error``.
"""

from __future__ import annotations

import importlib
import pkgutil
import socket
from collections.abc import Callable
from typing import Any

import av

from dubflow.errors import BadInput, DubflowError, OurFault
from dubflow.media import _complaints, _picture, _remux, _sound, _survey, wire
from dubflow.media._container import Untrusted
from dubflow.media.confinement import confine
from dubflow.media.limits import Limits

Task = Callable[[Untrusted, dict[str, Any], socket.socket, list[int]], None]

TASKS: dict[str, Task] = {
    "survey": _survey.run,
    "frames": _picture.run,
    "sound": _sound.run,
    "replace_audio": _remux.run,
}
_ANSWER_BUFFER = 2**20
_RESERVE_BYTES = 4 * 2**20
_NOT_NEEDED = ("av.__main__", "av.datasets")


def warm_up() -> None:
    """Load what a job needs: afterwards it can open nothing, its own modules included."""
    import soxr

    _complaints.listen()
    # PyAV imports the classes of a kind of stream when it meets the first one.
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in _NOT_NEEDED:
            importlib.import_module(module.name)
    # So do others with their first use.
    soxr.ResampleStream(48000, 16000, 1, dtype="float32").resample_chunk(_sound.silence(480), last=True)
    av.VideoFrame(16, 16, "yuv420p").reformat(format="rgb24").to_ndarray()


def run(request: dict[str, Any], answers: socket.socket, files: list[int]) -> None:
    """Carry out ``request`` on the open ``files`` (the untrusted one first) and send what comes of it."""
    limits = Limits(**request["limits"])
    # Given back when memory runs out, so that there is enough to say so.
    reserve = bytearray(_RESERVE_BYTES)
    name = request["name"]
    answers.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ANSWER_BUFFER)
    try:
        confine(memory=limits.memory, cpu_s=limits.wall_s, written=limits.bytes if len(files) > 1 else 0)
        TASKS[request["task"]](Untrusted(files[0], name, limits), request["arguments"], answers, files[1:])
        return
    except DubflowError as raised:
        error = raised
    except MemoryError:
        del reserve
        error = BadInput(
            "media.memory",
            f"Reading {name} needs more than {limits.memory} bytes of memory.",
            "Use a smaller picture, or raise the limit on memory.",
            limit=limits.memory,
        )
    except av.FFmpegError as raised:
        error = BadInput("media.damaged", f"{name} is damaged: {raised.strerror}.", "Copy or convert it again.")
    except Exception as raised:
        error = OurFault(
            "media.reader_failed",
            f"Our reader failed on {name}: {type(raised).__name__}: {raised}.",
            "Report it with the file.",
            where=_where(raised),
        )
    wire.send(answers, "error", family=type(error).__name__, **error.as_dict())


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
