"""The offline judges of sound, as evaluations ask them: one for each kind of the catalogue.

A clip is compared with the item's reference on the reference's clock: what it has more is cut, what it lacks is silence
(how much that was is ``duration_error``). Whose doing it is that a figure is missing is found out by asking the same of
the reference against itself: where that has no figure either, it is the item's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.dnsmos import Dnsmos
from dubflow.judging.edges import Edges, speech_edges
from dubflow.judging.ge2e import Ge2eSpeaker
from dubflow.judging.intensity import intensity_correlation
from dubflow.judging.lengths import duration_error_s
from dubflow.judging.mcd import mcd_dtw, mcd_plain, spectra_of
from dubflow.judging.pesq import pesq_score
from dubflow.judging.pins import offline_pin
from dubflow.judging.prosody import ProsodyError, prosody_error
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.judging.stoi import stoi_score
from dubflow.judging.voice import paired_similarity
from dubflow.media.decode import read_audio

Wave = NDArray[np.float32]
Pairwise = Callable[[Wave, Wave], float | None]
"""Of a reference and a clip on its clock."""


@dataclass(eq=False)
class SoundJudge:
    """Implements ``card.functions.MetricFunction`` for a kind of judge of the catalogue.

    Raises:
        WrongUse: ``judging.unknown_judge``.
    """

    judge: str
    metrics: tuple[Metric, ...] = ()
    _tool: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.judge not in _NAMES:
            raise WrongUse(
                "judging.unknown_judge", f"No judge of sound is called {self.judge!r}.", f"Known: {', '.join(_NAMES)}."
            )
        self.metrics = tuple(listing(name).metric(self.judge) for name in _NAMES[self.judge])

    @property
    def pin(self) -> JudgePin:
        """Version, weights and settings."""
        return offline_pin(self.judge)

    def missing(self) -> str | None:
        """Which package is not installed."""
        try:
            offline_pin(self.judge)
        except WrongUse as error:
            return str(error)
        return None

    def prepare(self) -> None:
        """Load the weights of those that have some."""
        loaders: dict[str, Callable[[], Any]] = {"ge2e": Ge2eSpeaker, "dnsmos": Dnsmos}
        if self.judge in loaders:
            self._tool = loaders[self.judge]()

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """An answer for each metric."""
        clip = read_audio(subject.clip, SAMPLE_RATE)
        if self.judge == "dnsmos":
            return _opinions(self._tool, clip)
        if self.judge == "ge2e":
            return {"secs": _likeness(self._tool, subject, clip)}
        answers = _plain(subject, clip) if self.judge == "code" else {}
        for name, compare in _pairwise(self.judge).items():
            answers[name] = _compared(subject, clip, compare)
        return answers

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """What the item has nothing to measure of."""
        if self.judge in ("dnsmos", "code", "ge2e") or item.reference is not None:
            return {}
        return {metric.name: _NO_REFERENCE for metric in self.metrics}


def sound_judges() -> tuple[SoundJudge, ...]:
    """One of each kind, whether its package is installed or not (:meth:`SoundJudge.missing` says)."""
    return tuple(SoundJudge(kind) for kind in _NAMES)


_NAMES: dict[str, tuple[str, ...]] = {
    "code": ("success_rate", "duration_error", "int_corr", "speech_start_error", "speech_end_error"),
    "world": ("mcd", "mcd_dtw", "ffe", "gpe", "vde", "f0_correlation"),
    "pesq": ("pesq",),
    "pystoi": ("stoi",),
    "ge2e": ("secs",),
    "dnsmos": ("dnsmos_signal", "dnsmos_background", "dnsmos_overall", "dnsmos_p808"),
}
_NO_REFERENCE = Unmeasured("The item has no true recording to compare with.", "item")


def _pairwise(kind: str) -> dict[str, Pairwise]:
    of: dict[str, dict[str, Pairwise]] = {
        "code": {
            "int_corr": intensity_correlation,
            "speech_start_error": lambda true, made: _edge(true, made, "start"),
            "speech_end_error": lambda true, made: _edge(true, made, "end"),
        },
        "world": {
            "mcd": lambda true, made: mcd_plain(spectra_of(true), spectra_of(made)),
            "mcd_dtw": lambda true, made: mcd_dtw(spectra_of(true), spectra_of(made)),
            **{name: _melody(field_name) for name, field_name in _MELODY.items()},
        },
        "pesq": {"pesq": pesq_score},
        "pystoi": {"stoi": stoi_score},
    }
    return of[kind]


_MELODY = {
    "ffe": "frame_error",
    "gpe": "gross_pitch_error",
    "vde": "voicing_error",
    "f0_correlation": "f0_correlation",
}


def _melody(name: str) -> Pairwise:
    def compare(true: Wave, made: Wave) -> float | None:
        found: ProsodyError = prosody_error(true, made)
        value: float | None = getattr(found, name)
        return value

    return compare


def _edge(true: Wave, made: Wave, end: str) -> float | None:
    edges: list[Edges | None] = [speech_edges(true), speech_edges(made)]
    if edges[0] is None or edges[1] is None:
        return None
    return float(getattr(edges[1], end) - getattr(edges[0], end))


def _plain(subject: Subject, clip: Wave) -> dict[str, Answer]:
    """What needs no true recording of the words."""
    answers: dict[str, Answer] = {"success_rate": Measured(1.0)}
    file = subject.files.get("reference") or subject.files.get("source")
    if file is None:
        answers["duration_error"] = Unmeasured("The item has no clip whose length could be kept.", "item")
    else:
        answers["duration_error"] = Measured(duration_error_s(clip.size, read_audio(file, SAMPLE_RATE).size))
    return answers


def _compared(subject: Subject, clip: Wave, compare: Pairwise) -> Answer:
    file = subject.files.get("reference")
    if file is None:
        return _NO_REFERENCE
    true = read_audio(file, SAMPLE_RATE)
    made = np.pad(clip[: true.size], (0, max(0, true.size - clip.size)))
    value, reason = _tried(compare, true, made)
    if value is not None:
        return Measured(value)
    return Unmeasured(reason, "clip" if _tried(compare, true, true)[0] is not None else "item")


def _tried(compare: Pairwise, true: Wave, made: Wave) -> tuple[float | None, str]:
    try:
        return compare(true, made), "One of the recordings has nothing to compare (silence, or no pitch)."
    except BadInput as error:
        return None, str(error)


def _likeness(encoder: Ge2eSpeaker, subject: Subject, clip: Wave) -> Answer:
    file = subject.files.get("voice") or subject.files.get("reference") or subject.files.get("source")
    if file is None:
        return Unmeasured("The item has no recording of the voice.", "item")
    try:
        wanted = encoder.embed(read_audio(file, SAMPLE_RATE))
    except BadInput as error:
        return Unmeasured(f"The voice to be had: {error}", "item")
    try:
        return Measured(float(paired_similarity(encoder.embed(clip)[None], wanted[None])[0]))
    except BadInput as error:
        return Unmeasured(str(error), "clip")


def _opinions(judge: Dnsmos, clip: Wave) -> dict[str, Answer]:
    opinion = judge.judge(clip)
    return {f"dnsmos_{part}": Measured(getattr(opinion, part)) for part in ("signal", "background", "overall", "p808")}
