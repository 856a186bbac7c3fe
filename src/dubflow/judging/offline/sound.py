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
from dubflow.judging.edges import edge_error, speech_edges
from dubflow.judging.ge2e import Ge2eSpeaker
from dubflow.judging.intensity import intensity_correlation
from dubflow.judging.lengths import duration_error_s
from dubflow.judging.likeness import NO_REFERENCE, NO_VOICE, likeness, voice_of
from dubflow.judging.mcd import mcd_dtw, mcd_plain, spectra_of
from dubflow.judging.pesq import pesq_score
from dubflow.judging.pins import offline_pin, why_missing
from dubflow.judging.prosody import prosody_error
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.judging.stoi import stoi_score
from dubflow.media.decode import read_audio

Wave = NDArray[np.float32]
Pairwise = Callable[[Wave, Wave], Mapping[str, float | None]]
"""Figures of a reference and a clip on its clock."""


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
        return why_missing(self.judge)

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
            wanted = voice_of(subject)
            return {"secs": NO_VOICE if wanted is None else likeness(self._tool, clip, wanted)}
        answers = _plain(subject, clip) if self.judge == "code" else {}
        true = subject.files.get("reference")
        if true is None:
            return {metric.name: NO_REFERENCE for metric in self.metrics} | answers
        return answers | _compared(_PAIRWISE[self.judge], read_audio(true, SAMPLE_RATE), clip)

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """What the item has nothing to measure of."""
        if self.judge in ("dnsmos", "code", "ge2e") or item.reference is not None:
            return {}
        return {metric.name: NO_REFERENCE for metric in self.metrics}


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


def _edges(true: Wave, made: Wave) -> dict[str, float | None]:
    wanted, found = speech_edges(true), speech_edges(made)
    late = None if wanted is None or found is None else edge_error(found, wanted)
    return {
        "speech_start_error": None if late is None else late.start,
        "speech_end_error": None if late is None else late.end,
    }


def _spectra(true: Wave, made: Wave) -> dict[str, float | None]:
    pair = spectra_of(true), spectra_of(made)
    return {"mcd": mcd_plain(*pair), "mcd_dtw": mcd_dtw(*pair)}


def _melody(true: Wave, made: Wave) -> dict[str, float | None]:
    found = prosody_error(true, made)
    return {
        "ffe": found.frame_error,
        "gpe": found.gross_pitch_error,
        "vde": found.voicing_error,
        "f0_correlation": found.f0_correlation,
    }


_PAIRWISE: dict[str, dict[tuple[str, ...], Pairwise]] = {
    "code": {
        ("int_corr",): lambda true, made: {"int_corr": intensity_correlation(true, made)},
        ("speech_start_error", "speech_end_error"): _edges,
    },
    "world": {("mcd", "mcd_dtw"): _spectra, ("ffe", "gpe", "vde", "f0_correlation"): _melody},
    "pesq": {("pesq",): lambda true, made: {"pesq": pesq_score(true, made)}},
    "pystoi": {("stoi",): lambda true, made: {"stoi": stoi_score(true, made)}},
}
"""By kind of judge: names, and what finds their figures at one go."""


def _plain(subject: Subject, clip: Wave) -> dict[str, Answer]:
    """What needs no true recording of the words."""
    answers: dict[str, Answer] = {"success_rate": Measured(1.0)}
    file = subject.files.get("reference") or subject.files.get("source")
    if file is None:
        answers["duration_error"] = Unmeasured("The item has no clip whose length could be kept.", "item")
    else:
        answers["duration_error"] = Measured(duration_error_s(clip.size, read_audio(file, SAMPLE_RATE).size))
    return answers


def _compared(of: Mapping[tuple[str, ...], Pairwise], true: Wave, clip: Wave) -> dict[str, Answer]:
    made = np.pad(clip[: true.size], (0, max(0, true.size - clip.size)))
    answers: dict[str, Answer] = {}
    for names, compare in of.items():
        found, reason = _tried(compare, true, made)
        lacking = [name for name in names if found.get(name) is None]
        own = _tried(compare, true, true)[0] if lacking else {}
        for name in names:
            value = found.get(name)
            if value is not None:
                answers[name] = Measured(value)
            else:
                answers[name] = Unmeasured(reason, "item" if own.get(name) is None else "clip")
    return answers


def _tried(compare: Pairwise, true: Wave, made: Wave) -> tuple[Mapping[str, float | None], str]:
    try:
        return compare(true, made), "One of the recordings has nothing to compare (silence, or no pitch)."
    except BadInput as error:
        return {}, str(error)


def _opinions(judge: Dnsmos, clip: Wave) -> dict[str, Answer]:
    opinion = judge.judge(clip)
    return {f"dnsmos_{part}": Measured(getattr(opinion, part)) for part in ("signal", "background", "overall", "p808")}
