"""The clean process that owns espeak-ng: initialises it once, then forks a child for every utterance.

espeak-ng keeps state from one utterance to the next, so the same text would give different samples depending on what
was spoken before. A child forked from the freshly initialised engine starts from the same state every time. This file
runs by its path with nothing but the standard library (``python -I -S``): no threads, no numpy, a small memory image
to fork, and the GPL library stays out of the caller's process.

Protocol over standard input and output. Request: 4 bytes length, JSON. Answer: 4 bytes length, 8 bytes length, JSON,
raw bytes (16-bit samples). The first answer, unasked, says whether the engine came up. End of input ends the process.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

SYNCHRONOUS = 2
PHONEME_EVENTS_IN_IPA = 0x0001 | 0x0002
DO_NOT_EXIT = 0x8000
UTF8 = 1
IPA = 0x02
SEPARATOR = "_"
RATE, PITCH, RANGE = 1, 3, 4
WORD, PHONEME = 1, 7
CHILD_BYTES = 1 << 30
PR_SET_PDEATHSIG = 1


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Engine:
    """The loaded library, set up for synchronous synthesis with phoneme events in IPA."""

    def __init__(self, library: str, data: str) -> None:
        # The library keeps the data path in a fixed buffer of some 160 bytes; a relative path always fits.
        os.chdir(Path(data).parent)
        lib = ctypes.CDLL(library)
        lib.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        lib.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        lib.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
        lib.espeak_SetSynthCallback.argtypes = [_Callback]
        lib.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        lib.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
        lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        lib.espeak_Info.argtypes = [ctypes.c_void_p]
        lib.espeak_Info.restype = ctypes.c_char_p
        self._lib = lib
        self.sample_rate = lib.espeak_Initialize(SYNCHRONOUS, 0, b".", PHONEME_EVENTS_IN_IPA | DO_NOT_EXIT)
        if self.sample_rate <= 0:
            raise RuntimeError("espeak_Initialize failed")
        self.version = (lib.espeak_Info(None) or b"").decode()
        self._samples: list[bytes] = []
        self._events: list[tuple[int, int, int, str]] = []
        self._callback = _Callback(self._collect)  # the library does not keep it alive
        lib.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._samples.append(ctypes.string_at(samples, 2 * count))
        index = 0
        while events[index].type != 0:
            event = events[index]
            if event.type in (WORD, PHONEME):
                # A long name fills all eight bytes without a terminator and may be cut within a character.
                name = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore") if event.type == PHONEME else ""
                self._events.append((event.type, event.sample, event.text_position, name))
            index += 1
        return 0

    def _set_voice(self, job: dict[str, Any]) -> None:
        if self._lib.espeak_SetVoiceByName(job["voice"].encode()) != 0:
            raise RuntimeError(f"espeak-ng refuses the voice {job['voice']!r}")
        # Choosing a voice resets the parameters, so they come after it.
        for parameter, name in ((RATE, "rate"), (PITCH, "pitch"), (RANGE, "range")):
            if name in job:
                self._lib.espeak_SetParameter(parameter, job[name], 0)

    def speak(self, job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Samples and events of ``job["text"]``."""
        self._set_voice(job)
        text = job["text"].encode("utf-8") + b"\0"
        if self._lib.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None) != 0:
            raise RuntimeError("espeak_Synth failed")
        samples = b"".join(self._samples)
        answer = {"ok": True, "events": self._events, "samples": len(samples) // 2}
        return answer, samples if job.get("audio", True) else b""

    def spell(self, job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """IPA of each of ``job["words"]`` spoken alone, phonemes separated."""
        self._set_voice(job)
        spelled = []
        for word in job["words"]:
            text = ctypes.create_string_buffer(word.encode("utf-8") + b"\0")
            pointer = ctypes.c_void_p(ctypes.addressof(text))
            clauses = []
            while pointer.value:  # one clause a call; the pointer becomes null at the end of the text
                phonemes = self._lib.espeak_TextToPhonemes(ctypes.byref(pointer), UTF8, IPA | ord(SEPARATOR) << 8)
                clauses.append((phonemes or b"").decode("utf-8", "replace"))
            spelled.append(" ".join(clauses))
        return {"ok": True, "spelled": spelled}, b""


def _frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    text = json.dumps(header).encode("utf-8")
    return struct.pack("<IQ", len(text), len(payload)) + text + payload


def _in_child(engine: Engine, job: dict[str, Any], write_end: int) -> None:
    """Runs in the forked child and never returns."""
    status = 1
    try:
        # The child must not outlive a server that was killed, nor grow without bound, nor leave a core file.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
        action = {"speak": engine.speak, "spell": engine.spell}[job["op"]]
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(_frame(*action(job)))
        status = 0
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
    finally:
        os._exit(status)


def _read_until(pipe: int, deadline: float) -> bytes | None:
    """All bytes until the writer closes; None when the time is over."""
    parts: list[bytes] = []
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return None
        part = os.read(pipe, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _answer(engine: Engine, job: dict[str, Any]) -> bytes:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _in_child(engine, job, write_end)
    os.close(write_end)
    try:
        answer = _read_until(read_end, time.monotonic() + job["timeout_s"])
    finally:
        os.close(read_end)
    if answer is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if answer is None:
        return _frame({"ok": False, "problem": f"it took longer than {job['timeout_s']} s"})
    if os.WIFSIGNALED(status):
        return _frame({"ok": False, "problem": f"the engine died of {signal.Signals(os.WTERMSIG(status)).name}"})
    if os.WEXITSTATUS(status) != 0:
        return _frame({"ok": False, "problem": "the engine refused it"})
    return answer


def _exactly(stream: BinaryIO, count: int) -> bytes | None:
    data = stream.read(count)
    return data if len(data) == count else None


def serve(library: str, data: str) -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it closes our input
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    try:
        engine = Engine(library, data)
    except (OSError, RuntimeError, AttributeError) as error:
        stdout.write(_frame({"ok": False, "problem": str(error)}))
        stdout.flush()
        return
    stdout.write(_frame({"ok": True, "sample_rate": engine.sample_rate, "version": engine.version}))
    stdout.flush()
    while (head := _exactly(stdin, 4)) is not None:
        request = _exactly(stdin, struct.unpack("<I", head)[0])
        if request is None:
            return
        for job in json.loads(request)["jobs"]:
            try:
                stdout.write(_answer(engine, job))
                stdout.flush()
            except BrokenPipeError:
                os._exit(0)  # the parent is gone; an orderly exit would only stumble over the same pipe


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
