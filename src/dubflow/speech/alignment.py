"""When each word and phone is spoken: alignments that come with a corpus, and a built-in aligner for English.

Montreal Forced Aligner's TextGrids are read; where there are none, PocketSphinx aligns English by the transcript, in a
process of its own (it can crash on input it dislikes). Words that its dictionary lacks get a pronunciation from the
phonemizer, so every word is aligned. Against exactly known times of synthesised speech its words are right to
about 7 ms (median); see ``benchmarks/speech.py``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, OurFault, missing_extra
from dubflow.speech._child import EngineProcess
from dubflow.speech.arpabet import from_arpabet, pronunciation
from dubflow.speech.intervals import Interval, filled
from dubflow.speech.phonemes import EspeakPhonemizer, Phonemizer
from dubflow.speech.words import bare_word, cleaned

SAMPLE_RATE = 16_000
_PADDING_S = 0.1
_NOISES = (10.0, 60.0, 200.0)  # deviation in 16-bit units; the first finds nearly everything
_MAX_SECONDS = 120.0
_SILENT_NAMES = frozenset({"SIL", "+NSN+", "+SPN+", "+BREATH+", "+COUGH+", "+NOISE+", "+SMACK+", "+UH+", "+UM+"})
_SILENT_LABELS = frozenset({"", "sil", "sp", "<eps>"})


@dataclass(frozen=True)
class Alignment:
    """Words and phones of one recording, each contiguous from 0 to its end, "" for silence.

    Attributes:
        words: the words of the transcript in order (without surrounding punctuation), with silences between.
        phones: symbols of the inventory, with silences between.
    """

    words: list[Interval]
    phones: list[Interval]


def read_textgrid(path: Path) -> dict[str, list[Interval]]:
    """Every interval tier of a Praat TextGrid (long or short text format, UTF-8 or UTF-16), by name.

    Gaps are filled, and the aligners' names for silence (``sil``, ``sp``, ``<eps>``) become "".

    Raises:
        BadInput: ``speech.bad_textgrid`` for anything that is not a readable TextGrid with an interval tier.
        WrongUse: ``install.missing_extra``.
    """
    try:
        from praatio import textgrid
        from praatio.data_classes.interval_tier import IntervalTier
    except ImportError as error:
        raise missing_extra("praatio", "speech") from error
    path = Path(path)
    if not path.is_file():
        raise BadInput("speech.bad_textgrid", f"There is no file {path.name}.", "Check the path.")
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="silence")
        tiers = {
            tier.name: filled([_praat_interval(*entry) for entry in tier.entries], float(grid.maxTimestamp))
            for tier in grid.tiers
            if isinstance(tier, IntervalTier)
        }
    except BadInput:
        raise
    except Exception as error:  # praatio meets broken files with whatever its parsing stumbles over
        raise BadInput(
            "speech.bad_textgrid",
            f"{path.name} is not a readable TextGrid ({type(error).__name__}: {str(error)[:200]}).",
            "Write it again with Praat or the aligner, as text.",
        ) from error
    if not tiers:
        raise BadInput("speech.bad_textgrid", f"{path.name} has no interval tier.", "Export words and phones as tiers.")
    return tiers


def _praat_interval(start: float, end: float, label: str) -> Interval:
    return Interval(start=float(start), end=float(end), label="" if label.strip() in _SILENT_LABELS else label.strip())


class EnglishAligner:
    """Aligns English speech with its transcript; owns one PocketSphinx process, a context manager.

    Args:
        phonemizer: pronounces words that the dictionary lacks.
        timeout_s: wall time allowed for one recording.
    """

    def __init__(self, phonemizer: Phonemizer | None = None, timeout_s: float = 120.0) -> None:
        self._phonemizer = phonemizer or EspeakPhonemizer()
        self._process = EngineProcess("PocketSphinx", "pocketsphinx", _command, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process; using the aligner again starts a new one."""
        self._process.close()

    def align(self, waveform: NDArray[np.float32], text: str) -> Alignment:
        """Words and phones of ``text`` in ``waveform`` (float ``[N]`` in -1..1, 16 kHz mono, up to two minutes).

        Raises:
            BadInput: ``speech.bad_waveform``, ``speech.alignment_failed`` when the words cannot be found in the audio,
                ``speech.empty_text`` and its kin.
            OurFault: ``speech.engine_lost``, ``speech.engine_unavailable``.
        """
        audio = _checked(waveform)
        tokens = [bare_word(token) for token in cleaned(text).split(" ")]
        spoken = {index: word for index, token in enumerate(tokens) if (word := _dictionary_form(token))}
        words = list(spoken.values())
        added = self._pronunciations(words)
        words = [word for word in words if added.get(word) != ""]
        problem = ""
        for noise in _NOISES:
            job = {"op": "align", "words": words, "added": {w: p for w, p in added.items() if p}}
            ((answer, _),) = self._process.request([job], [_pcm(audio, noise)])
            if answer["ok"]:
                found = [word for word in answer["words"] if not _is_filler(word["word"])]
                if len(found) == len(words):
                    return _alignment(found, words, spoken, tokens, len(audio) / SAMPLE_RATE)
                problem = f"{len(found)} words were found"
            else:
                problem = answer["problem"]
        raise BadInput(
            "speech.alignment_failed",
            f"The {len(words)} words of {text[:60]!r} cannot be found in {len(audio) / SAMPLE_RATE:.2f} s of audio "
            f"({problem}).",
            "Check that the transcript is what is said, and that it is English.",
        )

    def _pronunciations(self, words: Sequence[str]) -> dict[str, str]:
        """ARPAbet for the words outside the dictionary; "" for those without sound."""
        distinct = list(dict.fromkeys(words))
        ((answer, _),) = self._process.request([{"op": "unknown", "words": distinct}])
        if not answer["ok"]:
            raise OurFault("speech.engine_lost", f"PocketSphinx cannot look up words: {answer['problem']}.")
        unknown = answer["unknown"]
        if not unknown:
            return {}
        phones = self._phonemizer.phonemize_all(unknown, "en")
        return {w: " ".join(pronunciation(p.symbol for p in own)) for w, own in zip(unknown, phones, strict=True)}


def _command() -> tuple[list[str], Path, list[str]]:
    try:
        import pocketsphinx  # noqa: F401 - only to say which package is missing before a child fails on it
    except ImportError as error:
        raise missing_extra("pocketsphinx", "speech") from error
    return ["-P"], Path(__file__).with_name("_aligner_engine.py"), []


def _checked(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    audio = np.asarray(waveform, dtype=np.float64)
    seconds = audio.size / SAMPLE_RATE
    if audio.ndim != 1 or not np.isfinite(audio).all() or not 0.1 <= seconds <= _MAX_SECONDS or not audio.any():
        raise BadInput(
            "speech.bad_waveform",
            f"Alignment needs 0.1 to {_MAX_SECONDS:.0f} s of finite mono audio that is not silent, not an array "
            f"{list(audio.shape)} ({seconds:.2f} s at 16 kHz).",
            "Cut long recordings into sentences.",
        )
    return audio


def _dictionary_form(token: str) -> str:
    """Lower case with plain apostrophes and without what the decoder's word lists cannot hold."""
    return re.sub(r"[^\w'.-]", "", token.lower().replace("’", "'")).strip(".-")


def _pcm(audio: NDArray[np.float64], noise: float) -> bytes:
    """Padded, normalised 16-bit samples over a fixed faint noise: digital silence upsets the acoustic model."""
    padding = round(_PADDING_S * SAMPLE_RATE)
    scaled = np.pad(0.9 * 32767 * audio / np.abs(audio).max(), padding)
    scaled += np.random.default_rng(0).normal(0.0, noise, scaled.size)
    return np.clip(scaled, -32768, 32767).astype("<i2").tobytes()


def _is_filler(name: str) -> bool:
    return name.startswith(("<", "[", "(", "+"))


def _alignment(
    found: Sequence[dict[str, Any]], words: Sequence[str], spoken: dict[int, str], tokens: Sequence[str], total: float
) -> Alignment:
    """Found words (times with padding) laid over the tokens of the transcript."""
    phones: list[Interval] = []
    spans: list[tuple[float, float]] = []
    for word in found:
        own = [(name, _cut(a, total), _cut(b, total)) for name, a, b in word["phones"] if name not in _SILENT_NAMES]
        phones += [Interval(start=a, end=b, label=from_arpabet(name)[0]) for name, a, b in own]
        spans.append((own[0][1], own[-1][2]) if own else (phones[-1].end, phones[-1].end) if phones else (0.0, 0.0))
    sounding = {index for index, word in spoken.items() if word in set(words)}
    placed: list[Interval] = []
    following = iter(spans)
    now = spans[0][0] if spans else 0.0
    for index, token in enumerate(tokens):
        start, now = next(following) if index in sounding else (now, now)
        placed.append(Interval(start=start, end=now, label=token))
    return Alignment(words=filled(placed, total), phones=filled(phones, total))


def _cut(time: float, total: float) -> float:
    return min(max(time - _PADDING_S, 0.0), total)


@functools.cache
def default_aligner() -> EnglishAligner:
    """The one that :func:`align_english` uses; its process ends with this one."""
    return EnglishAligner()


def align_english(waveform: NDArray[np.float32], text: str) -> Alignment:
    """Words and phones of ``text`` in ``waveform``; see :meth:`EnglishAligner.align`."""
    return default_aligner().align(waveform, text)
