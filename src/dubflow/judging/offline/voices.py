"""Whether a dub has the voice that it was to have, among those of all speakers of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import Benchmark, BenchmarkItem, ItemFile, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.ge2e import Ge2eSpeaker
from dubflow.judging.pins import offline_pin
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.judging.voice import nearest_own, similarities
from dubflow.media.decode import read_audio

_TOO_FEW = Unmeasured("The benchmark has no two speakers with recordings of their voices, this one among them.", "item")


@dataclass(eq=False)
class OwnVoice:
    """Implements ``card.functions.MetricFunction`` for ``own_voice``, by the GE2E encoder.

    Each speaker (tag) stands for one voice: the recording of the first of its items, by id.

    Args:
        benchmark: whose speakers to tell apart. root: its folder.
    """

    benchmark: Benchmark = field(repr=False)
    root: Path
    judge: str = "ge2e-own-voice"
    metrics: tuple[Metric, ...] = ()
    _encoder: Ge2eSpeaker | None = field(default=None, repr=False)
    _voices: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)

    def __post_init__(self) -> None:
        self.metrics = (listing("own_voice").metric(self.judge),)
        self._files: dict[str, ItemFile] = {}
        self._heard: tuple[str, ...] = ()
        for item in self.benchmark.items:  # sorted by id
            file = item.voice or item.reference or item.source
            if item.tags.speaker and file is not None:
                self._files.setdefault(item.tags.speaker, file)

    @property
    def pin(self) -> JudgePin:
        """The encoder's, and the voices that are told apart."""
        pin = offline_pin("ge2e")
        voices = content_key({who: file.sha256 for who, file in self._files.items()})
        return pin.model_copy(update={"settings": pin.settings | {"voices": voices}})

    def missing(self) -> str | None:
        """Which package is not installed."""
        try:
            offline_pin("ge2e")
        except WrongUse as error:
            return str(error)
        return None

    def prepare(self) -> None:
        """Load the encoder and hear the voices; a speaker whose recording has none is nobody to be told from."""
        encoder = self._encoder = Ge2eSpeaker()
        heard = {}
        for who, file in self._files.items():
            with suppress(BadInput):
                heard[who] = encoder.embed(read_audio(self.root / file.path, SAMPLE_RATE))
        self._heard = tuple(heard)
        self._voices = np.stack(list(heard.values())) if heard else self._voices

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """1 where the clip's voice is nearest to its speaker's, else 0."""
        return {"own_voice": self._answer(subject)}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """What the item has nothing to measure of."""
        return {} if self._has_rivals(item) else {"own_voice": _TOO_FEW}

    def _answer(self, subject: Subject) -> Answer:
        if not self._has_rivals(subject.item):
            return _TOO_FEW
        if self._encoder is None:
            self.prepare()
        assert self._encoder is not None
        if len(self._heard) < 2 or subject.item.tags.speaker not in self._heard:
            return _TOO_FEW
        try:
            voice = self._encoder.embed(read_audio(subject.clip, SAMPLE_RATE))
        except BadInput as error:
            return Unmeasured(str(error), "clip")
        own = self._heard.index(subject.item.tags.speaker)
        return Measured(float(nearest_own(similarities(voice[None], self._voices), [own])[0]))

    def _has_rivals(self, item: BenchmarkItem) -> bool:
        return len(self._files) > 1 and item.tags.speaker in self._files
