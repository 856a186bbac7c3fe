"""When each word and phone is spoken: alignments that come with a corpus, and a built-in aligner for English.

Montreal Forced Aligner's TextGrids are read; where there are none, PocketSphinx aligns English by the transcript, in a
process of its own (it can crash on input it dislikes). Words that its dictionary lacks get a pronunciation from the
phonemizer, so every word is aligned. Against exactly known times of synthesised speech its words are right to
about 7 ms (median); see ``benchmarks/speech.py``.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
from collections.abc import Mapping, Sequence
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
from dubflow.speech.words import bare_word, cleaned, speakable

SAMPLE_RATE = 16_000
_PADDING_S = 0.1
_NOISES = (10.0, 60.0, 200.0)  # deviation in 16-bit units; the first finds nearly everything
_MAX_SECONDS = 120.0
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
        raise missing_extra("praatio") from error
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
        tokens = cleaned(text).split(" ")
        entries = {index: _entry(index, token) for index, token in enumerate(tokens) if speakable(token)}
        added = self._pronunciations({entry: tokens[index] for index, entry in entries.items()})
        entries = {index: entry for index, entry in entries.items() if added.get(entry) != ""}
        words = list(entries.values())
        job = {"op": "align", "words": words, "added": {entry: phones for entry, phones in added.items() if phones}}
        problem = ""
        for noise in _NOISES:
            ((answer, _),) = self._process.request([job], [_pcm(audio, noise)])
            if answer["ok"]:
                found = [word for word in answer["words"] if not _is_filler(word["word"])]
                if len(found) == len(words):
                    placed = dict(zip(entries, found, strict=True))
                    return _alignment(placed, tokens, len(audio) / SAMPLE_RATE)
                problem = f"{len(found)} words were found"
            else:
                problem = answer["problem"]
        raise BadInput(
            "speech.alignment_failed",
            f"The {len(words)} words of {text[:60]!r} cannot be found in {len(audio) / SAMPLE_RATE:.2f} s of audio "
            f"({problem}).",
            "Check that the transcript is what is said, and that it is English.",
        )

    def _pronunciations(self, spoken: Mapping[str, str]) -> dict[str, str]:
        """ARPAbet for the entries outside the dictionary, by what is said for them; "" for those without sound."""
        ((answer, _),) = self._process.request([{"op": "unknown", "words": list(spoken)}])
        if not answer["ok"]:
            raise OurFault("speech.engine_lost", f"PocketSphinx cannot look up words: {answer['problem']}.")
        unknown = answer["unknown"]
        if not unknown:
            return {}
        phones = self._phonemizer.phonemize_all([spoken[entry] for entry in unknown], "en")
        return {e: " ".join(pronunciation(p.symbol for p in own)) for e, own in zip(unknown, phones, strict=True)}


def _command() -> tuple[list[str], Path, list[str]]:
    if importlib.util.find_spec("pocketsphinx") is None:
        raise missing_extra("pocketsphinx")
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


def _entry(index: int, token: str) -> str:
    """The dictionary's spelling of a plain word; any other token (numbers, signs) gets an entry of its own."""
    word = bare_word(token).lower().replace("’", "'")
    return word if word.replace("'", "").replace("-", "").isalpha() else f"token.{index}"


def _pcm(audio: NDArray[np.float64], noise: float) -> bytes:
    """Padded, normalised 16-bit samples over a fixed faint noise: digital silence upsets the acoustic model."""
    padding = round(_PADDING_S * SAMPLE_RATE)
    scaled = np.pad(0.9 * 32767 * audio / np.abs(audio).max(), padding)
    scaled += np.random.default_rng(0).normal(0.0, noise, scaled.size)
    return np.clip(scaled, -32768, 32767).astype("<i2").tobytes()


def _is_filler(name: str) -> bool:
    return name.startswith(("<", "[", "(", "+"))


def _alignment(found: Mapping[int, dict[str, Any]], tokens: Sequence[str], total: float) -> Alignment:
    """Found words (by token, times with padding) laid over all tokens; those that are not spoken have length 0."""
    words: list[Interval] = []
    phones: list[Interval] = []
    now = 0.0
    for index, token in enumerate(tokens):
        own = (
            [(name, _cut(a, total), _cut(b, total)) for name, a, b in found[index]["phones"]] if index in found else []
        )
        start, now = (own[0][1], own[-1][2]) if own else (now, now)
        words.append(Interval(start=start, end=now, label=bare_word(token)))
        phones += [Interval(start=a, end=b, label=from_arpabet(name)[0]) for name, a, b in own]
    return Alignment(words=filled(words, total), phones=filled(phones, total))


def _cut(time: float, total: float) -> float:
    return min(max(time - _PADDING_S, 0.0), total)


@functools.cache
def default_aligner() -> EnglishAligner:
    """The one that :func:`align_english` uses; ended when the program ends."""
    aligner = EnglishAligner()
    atexit.register(aligner.close)
    return aligner


def align_english(waveform: NDArray[np.float32], text: str) -> Alignment:
    """Words and phones of ``text`` in ``waveform``; see :meth:`EnglishAligner.align`."""
    return default_aligner().align(waveform, text)
