"""espeak-ng behind the zygote (``_zygote``): loads the library of the espeakng-loader package and speaks.

Standard library only, and loaded by its path into a bare interpreter: nothing of dubflow is imported here, and this GPL
library never enters the caller's process.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SYNCHRONOUS = 2
PHONEME_EVENTS_IN_IPA = 0x0001 | 0x0002
DO_NOT_EXIT = 0x8000
UTF8 = 1
IPA = 0x02
SEPARATOR = "_"
RATE, PITCH, RANGE = 1, 3, 4
WORD, PHONEME = 1, 7


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
        # Initialising seeds the noise of rough, fluttering and breathy variants with the time of day.
        lib.espeak_ng_SetRandSeed(ctypes.c_long(1))
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

    def speak(self, job: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
        """Samples and events of ``job["text"]``."""
        self._set_voice(job)
        text = job["text"].encode("utf-8") + b"\0"
        if self._lib.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None) != 0:
            raise RuntimeError("espeak_Synth failed")
        samples = b"".join(self._samples)
        answer = {"ok": True, "events": self._events, "samples": len(samples) // 2}
        return answer, samples if job.get("audio", True) else b""

    def spell(self, job: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
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


def start(arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, Callable[..., tuple[dict[str, Any], bytes]]]]:
    """The greeting and the operations of an engine started with the paths of its library and its data."""
    engine = Engine(*arguments)
    greeting = {"sample_rate": engine.sample_rate, "version": engine.version}
    return greeting, {"speak": engine.speak, "spell": engine.spell}
