"""PocketSphinx behind the zygote (``_zygote``): phone alignment with its bundled English model.

Loaded by its path into a bare interpreter that has the installed packages; nothing of dubflow is imported here. Two
traps of PocketSphinx 5.1 shape it: with the default ``bestpath`` the second pass often fails, and asking for a
hypothesis after the second pass crashes the process, so nobody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

FRAME_S = 0.01
WIDE = 1e-300


class Engine:
    """A decoder with the bundled acoustic model and dictionary."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        # The usual beams are for recognition; with one path to follow, pruning saves little and loses long recordings.
        beams = {"beam": WIDE, "wbeam": WIDE, "pbeam": WIDE}
        self._decoder = Decoder(lm=None, bestpath=False, loglevel="FATAL", **beams)

    def unknown(self, job: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
        """Those of ``job["words"]`` that the dictionary lacks."""
        return {"ok": True, "unknown": [w for w in job["words"] if self._decoder.lookup_word(w) is None]}, b""

    def align(self, job: dict[str, Any], pcm: bytes) -> tuple[dict[str, Any], bytes]:
        """Words and phones of ``job["words"]`` in 16 kHz 16-bit ``pcm``; ``job["added"]``: more pronunciations."""
        for word, phones in job["added"].items():
            self._decoder.add_word(word, phones, True)
        self._decoder.set_align_text(" ".join(job["words"]))
        self._pass(pcm)
        self._decoder.set_alignment()
        self._pass(pcm)
        words = [
            {
                "word": word.name,
                "phones": [[p.name, p.start * FRAME_S, (p.start + p.duration) * FRAME_S] for p in word],
            }
            for word in self._decoder.get_alignment()
        ]
        return {"ok": True, "words": words}, b""

    def _pass(self, pcm: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()


def start(arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, Callable[..., tuple[dict[str, Any], bytes]]]]:
    """The greeting and the operations of a freshly loaded decoder."""
    engine = Engine(*arguments)
    return {}, {"unknown": engine.unknown, "align": engine.align}
