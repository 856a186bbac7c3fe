"""What was said in an English sentence, by PocketSphinx without a grammar, as evaluations ask it.

Commands of the GRID corpus have a recogniser of their own (``words``) and are not asked about here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dubflow.judging.card.functions import Answer, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.content import character_error_rate, normalised, word_error_rate
from dubflow.judging.grid_recogniser import is_command
from dubflow.judging.offline.words import sums
from dubflow.judging.open_recogniser import OpenRecogniser
from dubflow.judging.pins import offline_pin, why_missing
from dubflow.judging.recogniser import SAMPLE_RATE, Recogniser
from dubflow.media.decode import read_audio

_NAMES = ("wer_open", "cer_open")


@dataclass(eq=False)
class OpenWords:
    """Implements ``card.functions.MetricFunction``."""

    judge: str = "pocketsphinx-open"
    metrics: tuple[Metric, ...] = ()
    _recogniser: Recogniser | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = tuple(listing(name).metric(self.judge) for name in _NAMES)

    @property
    def pin(self) -> JudgePin:
        """Version of PocketSphinx, whose models travel with it."""
        return offline_pin(self.judge)

    def missing(self) -> str | None:
        """Which package is not installed."""
        return why_missing(self.judge)

    def prepare(self) -> None:
        """Load the models."""
        self._recogniser = OpenRecogniser()

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """An answer for each metric."""
        text = _sentence(subject.item)
        if isinstance(text, Unmeasured):
            return dict.fromkeys(_NAMES, text)
        if self._recogniser is None:
            self.prepare()
        assert self._recogniser is not None
        return _rates(text, self._recogniser.hear(read_audio(subject.clip, SAMPLE_RATE)))

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """Every word was left out."""
        text = _sentence(item)
        return dict.fromkeys(_NAMES, text) if isinstance(text, Unmeasured) else _rates(text, "")


def _sentence(item: BenchmarkItem) -> str | Unmeasured:
    if item.transcript is None or not normalised(item.transcript):
        return Unmeasured("The item has no transcript.", "item")
    if item.language != "en":
        return Unmeasured(f"This recogniser hears English only, not the item's language ({item.language}).", "item")
    if is_command(item.transcript):
        return Unmeasured("The text is one of GRID's commands; the recogniser with GRID's grammar hears it.", "item")
    return item.transcript


def _rates(text: str, heard: str) -> dict[str, Answer]:
    return {
        "wer_open": sums(word_error_rate([text], [heard])),
        "cer_open": sums(character_error_rate([text], [heard])),
    }
