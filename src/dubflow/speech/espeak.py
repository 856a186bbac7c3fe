"""Speech from text with exact times, by espeak-ng.

The engine is GPL and lives in a process of its own (``_zygote``); everything else in dubflow sees only the
Protocol :class:`Synthesizer`. The same text and voice give the same bytes whatever was spoken before, in any order and
in any process.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import OurFault
from dubflow.speech._child import EngineProcess
from dubflow.speech.intervals import SILENCE, Interval
from dubflow.speech.inventory import UNKNOWN, normalised, unknown_symbols
from dubflow.speech.timing import Mark, TimedPhone, timed_phones
from dubflow.speech.voices import Voice, espeak_paths, has_echo
from dubflow.speech.words import (
    bare_word,
    cleaned,
    divide,
    shared_runs,
    token_starts,
    tokens_of_positions,
)

_USUAL_RATE = 175
_PHONEME_EVENT = 7
_SPELLING_SEPARATOR = "_"


@dataclass(frozen=True, eq=False)
class Utterance:
    """What was said, and exactly when.

    Attributes:
        waveform: float32 ``[N]`` in -1..1.
        sample_rate: samples a second (22,050).
        phones: contiguous over ``[0, N / sample_rate]``; labels are the inventory's symbols, "" for silence.
        words: one interval for each token of ``text.split()``, without the punctuation around it; a token that is not
            spoken (a lone dash) has length 0.
        stresses: one for each phone: 0 none, 1 primary, 2 secondary.
        word_indices: one for each phone: index into ``words``, -1 for silence.
        unknown: what the engine spoke that the inventory has no symbol for; such phones carry ``inventory.UNKNOWN``.
            Empty for every text of the seven languages that is known.
    """

    waveform: NDArray[np.float32]
    sample_rate: int
    phones: list[Interval]
    words: list[Interval]
    stresses: list[int]
    word_indices: list[int]
    unknown: list[str]

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return len(self.waveform) / self.sample_rate


class Synthesizer(Protocol):
    """Speaks a text; equal arguments give equal bytes."""

    def synthesize(self, text: str, voice: Voice) -> Utterance:
        """``text`` spoken by ``voice``."""


class EspeakSynthesizer:
    """A :class:`Synthesizer` that owns one espeak-ng process; a context manager.

    Args:
        timeout_s: wall time allowed for one utterance.
    """

    def __init__(self, timeout_s: float = 60.0) -> None:
        self._process = EngineProcess("espeak-ng", "espeakng-loader", _command, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process. Using the synthesizer again starts a new one."""
        self._process.close()

    @property
    def engine_version(self) -> str:
        """espeak-ng's version once something was spoken, for manifests; empty before."""
        return str(self._process.greeting.get("version", ""))

    def synthesize(self, text: str, voice: Voice) -> Utterance:
        """``text`` spoken by ``voice``.

        Raises:
            BadInput: ``speech.empty_text``, ``speech.text_too_long``, ``speech.bad_text``.
            WrongUse: ``speech.unknown_language``, ``speech.unknown_variant``, ``install.missing_extra``.
            OurFault: ``speech.synthesis_failed``, ``speech.engine_lost``, ``speech.engine_unavailable``.
        """
        return next(iter(self.synthesize_all([text], voice)))

    def synthesize_all(self, texts: Iterable[str], voice: Voice) -> list[Utterance]:
        """Many texts in one request; the same utterances as one by one."""
        spoken = [cleaned(text) for text in texts]
        job: dict[str, Any] = {
            "op": "speak",
            "voice": voice.espeak_name(),
            "rate": voice.rate,
            "pitch": voice.pitch,
            "range": voice.pitch_range,
        }
        answers = self._ask([{**job, "text": text} for text in spoken])
        dry: Sequence[tuple[dict[str, Any], bytes] | None] = [None] * len(spoken)
        if has_echo(voice.variant):
            # The echo fills the closures; the plain voice speaks the same events on the same clock.
            plain = {**job, "voice": voice.model_copy(update={"variant": ""}).espeak_name()}
            dry = self._ask([{**plain, "text": text} for text in spoken])
        return [
            self._utterance(text, voice, *answer, dry_answer)
            for text, answer, dry_answer in zip(spoken, answers, dry, strict=True)
        ]

    def _ask(self, jobs: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], bytes]]:
        answers = self._process.request(jobs)
        for job, (header, _) in zip(jobs, answers, strict=True):
            if not header["ok"]:
                said = str(job.get("text", job.get("words", "")))[:80]
                raise OurFault(
                    "speech.synthesis_failed",
                    f"espeak-ng could not speak {said!r}: {header['problem']}.",
                    "Try a shorter or simpler text; report the text if it is an ordinary one.",
                    voice=job["voice"],
                )
        return answers

    def _utterance(
        self, text: str, voice: Voice, header: dict[str, Any], audio: bytes, dry: tuple[dict[str, Any], bytes] | None
    ) -> Utterance:
        rate = self._process.greeting["sample_rate"]
        samples = np.frombuffer(audio, dtype="<i2")
        marks = _marks(header)
        phones = timed_phones(
            marks,
            samples,
            rate,
            voice.language,
            slowness=max(1.0, _USUAL_RATE / voice.rate),
            closures_from=None if dry is None else _on_clock_of(marks, samples, _marks(dry[0]), dry[1]),
        )
        owners = self._owners(text, voice, phones)
        unknown = unknown_symbols(phone.symbol for phone in phones)
        for phone in phones:
            phone.symbol = UNKNOWN if phone.symbol in unknown else phone.symbol
        return Utterance(
            waveform=samples.astype(np.float32) / 32768,
            sample_rate=rate,
            phones=[Interval(start=p.start / rate, end=p.end / rate, label=p.symbol) for p in phones],
            words=_words(text, phones, owners, rate),
            stresses=[p.stress for p in phones],
            word_indices=owners,
            unknown=unknown,
        )

    def _owners(self, text: str, voice: Voice, phones: Sequence[TimedPhone]) -> list[int]:
        """Index of the token of each phone, -1 for silences."""
        tokens = text.split(" ")
        sounding = [i for i, phone in enumerate(phones) if phone.symbol != SILENCE]
        owners = tokens_of_positions(token_starts(text), [phones[i].position for i in sounding])
        for first, after in shared_runs(owners, len(tokens)):
            members = [k for k, owner in enumerate(owners) if first <= owner < after]
            alone = self._spelled(tuple(tokens[first:after]), voice.espeak_name(), voice.language)
            cuts = divide([phones[sounding[k]].symbol for k in members], alone)
            for token, (start, end) in enumerate(pairwise(cuts), first):
                for k in members[start:end]:
                    owners[k] = token
        result = [-1] * len(phones)
        for i, owner in zip(sounding, owners, strict=True):
            result[i] = owner
        return result

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - bounded, and the default synthesizer lives as long as the process
    def _spelled(self, tokens: tuple[str, ...], voice: str, language: str) -> list[list[str]]:
        ((header, _),) = self._ask([{"op": "spell", "voice": voice, "words": list(tokens)}])
        spelled: list[list[str]] = []
        for ipa in header["spelled"]:
            names = ipa.replace(" ", _SPELLING_SEPARATOR).split(_SPELLING_SEPARATOR)
            spelled.append([symbol for name in names for symbol in normalised(name, language)[0]])
        return spelled


def _command() -> tuple[list[str], Path, list[str]]:
    library, data = espeak_paths()
    return ["-I", "-S"], Path(__file__).with_name("_espeak_engine.py"), [str(library), str(data)]


def _marks(header: dict[str, Any]) -> list[Mark]:
    return [
        Mark(sample, name, position - 1) for kind, sample, position, name in header["events"] if kind == _PHONEME_EVENT
    ]


def _on_clock_of(
    marks: Sequence[Mark], samples: NDArray[np.int16], dry_marks: Sequence[Mark], dry_audio: bytes
) -> NDArray[np.int16] | None:
    """The dry samples laid under the events of the echoing voice: between two events, right-aligned.

    A variant may stretch vowels but not closures, which end where the next event begins. None when the two voices did
    not speak the same phones.
    """
    if [m.name for m in marks] != [m.name for m in dry_marks]:
        return None
    dry = np.frombuffer(dry_audio, dtype="<i2")
    laid = samples.copy()
    edges = [0, *(m.sample for m in marks), len(samples)]
    dry_edges = [0, *(m.sample for m in dry_marks), len(dry)]
    for start, end, dry_start, dry_end in zip(edges, edges[1:], dry_edges, dry_edges[1:], strict=False):
        length = min(end - start, dry_end - dry_start)
        if length > 0:
            laid[start:end] = 1
            laid[end - length : end] = dry[dry_end - length : dry_end]
    laid[edges[-2] :] = 0  # after the last event only the echo sounds
    return laid


def _words(text: str, phones: Sequence[TimedPhone], owners: Sequence[int], rate: int) -> list[Interval]:
    spans: dict[int, tuple[int, int]] = {}
    for phone, owner in zip(phones, owners, strict=True):
        if owner >= 0:
            spans[owner] = (spans.get(owner, (phone.start, 0))[0], phone.end)
    words: list[Interval] = []
    now = next((phone.start for phone, owner in zip(phones, owners, strict=True) if owner >= 0), 0)
    for index, token in enumerate(text.split(" ")):
        start, end = spans.get(index, (now, now))
        words.append(Interval(start=start / rate, end=end / rate, label=bare_word(token)))
        now = end
    return words


@functools.cache
def default_synthesizer() -> EspeakSynthesizer:
    """The one that :func:`synthesize` and the phonemizer share; ended when the program ends."""
    synthesizer = EspeakSynthesizer()
    atexit.register(synthesizer.close)
    return synthesizer


def synthesize(text: str, voice: Voice) -> Utterance:
    """``text`` spoken by ``voice``; see :meth:`EspeakSynthesizer.synthesize`."""
    return default_synthesizer().synthesize(text, voice)
