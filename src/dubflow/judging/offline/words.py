"""What was said, by PocketSphinx with GRID's grammar, as evaluations ask it.

It hears GRID's commands and nothing else, so items with other texts have nothing that it could measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.content import ErrorRate, character_error_rate, word_error_rate
from dubflow.judging.grid_recogniser import GridRecogniser, is_command
from dubflow.judging.legacy_content import legacy_word_error_rate
from dubflow.judging.pins import offline_pin, why_missing
from dubflow.judging.recogniser import SAMPLE_RATE, Recogniser
from dubflow.media.decode import read_audio

_NAMES = ("wer", "wer_mean", "wer_legacy", "cer")


@dataclass(eq=False)
class GridWords:
    """Implements ``card.functions.MetricFunction``."""

    judge: str = "pocketsphinx"
    metrics: tuple[Metric, ...] = ()
    _recogniser: Recogniser | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = tuple(listing(name).metric(self.judge) for name in _NAMES)

    @property
    def pin(self) -> JudgePin:
        """Version of PocketSphinx, whose model travels with it."""
        return offline_pin(self.judge)

    def missing(self) -> str | None:
        """Which package is not installed."""
        return why_missing(self.judge)

    def prepare(self) -> None:
        """Load the model and the grammar."""
        self._recogniser = GridRecogniser()

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """An answer for each metric."""
        text = subject.item.transcript
        if text is None or not is_command(text):
            return _not_for_it()
        if self._recogniser is None:
            self.prepare()
        assert self._recogniser is not None
        return rates(text, self._recogniser.hear(read_audio(subject.clip, SAMPLE_RATE)))

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """Every word of a command was left out."""
        if item.transcript is None or not is_command(item.transcript):
            return _not_for_it()
        silent = rates(item.transcript, "")
        return {name: silent[name] for name in ("wer", "cer")}


def rates(text: str, heard: str) -> dict[str, Answer]:
    """Answers to all metrics of content, for what should have been said and what a recogniser heard.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    words, characters = word_error_rate([text], [heard]), character_error_rate([text], [heard])
    answers: dict[str, Answer] = {"wer": sums(words), "wer_mean": Measured(words.mean), "cer": sums(characters)}
    try:
        answers["wer_legacy"] = Measured(legacy_word_error_rate([text], [heard]).mean)
    except BadInput:
        # Blamed on the item although it is the clip's doing: that is what the legacy is.
        answers["wer_legacy"] = Unmeasured("Nothing was heard; peers' scripts leave such clips out.", "item")
    return answers


def sums(rate: ErrorRate) -> Measured:
    """The corpus rate of one clip, with the errors and units that a corpus adds up."""
    return Measured(rate.corpus, float(rate.errors), float(rate.reference))


def _not_for_it() -> dict[str, Answer]:
    reason = "The text is none of GRID's commands, the only ones that this recogniser can hear."
    return {name: Unmeasured(reason, "item") for name in _NAMES}
