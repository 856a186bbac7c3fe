"""What was said in any of seven languages, by the phone recogniser, as evaluations ask it.

The transcript is spelled in phones by espeak-ng, whose voices the recogniser was trained on. It is never asked about a
voice that it knows: an item whose voice (``facts["voice"]``, variant and pitch) stands in its list has no figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.offline.words import sums
from dubflow.judging.phone_judge.facts import PACKAGED, PhoneModelFacts, phone_pin, read_phone_facts
from dubflow.judging.phone_judge.rates import phone_errors
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.media.decode import read_audio
from dubflow.speech.phonemes import phonemize

if TYPE_CHECKING:
    from dubflow.judging.phone_judge.recogniser import PhoneRecogniser

_NAMES = ("per", "per_mean")


@dataclass(eq=False)
class PhoneWords:
    """Implements ``card.functions.MetricFunction``.

    Args:
        folder: of a stored recogniser; by default the one that comes with the package.
    """

    folder: Path = PACKAGED
    judge: str = "phones"
    metrics: tuple[Metric, ...] = ()
    _facts: PhoneModelFacts | None = field(default=None, repr=False)
    _recogniser: PhoneRecogniser | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = tuple(listing(name).metric(self.judge) for name in _NAMES)

    @property
    def pin(self) -> JudgePin:
        """Digest of the recogniser, and what spells transcripts."""
        return phone_pin(self.folder)

    def missing(self) -> str | None:
        """Which package is not installed, or that no recogniser lies in the folder."""
        try:
            phone_pin(self.folder)
        except (WrongUse, BadInput) as error:
            return str(error)
        return None

    def prepare(self) -> None:
        """Load the network."""
        from dubflow.judging.phone_judge.recogniser import PhoneRecogniser

        self._recogniser = PhoneRecogniser.open(self.folder)

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """An answer for each metric."""
        wanted = self._wanted(subject.item)
        if isinstance(wanted, Unmeasured):
            return dict.fromkeys(_NAMES, wanted)
        if self._recogniser is None:
            self.prepare()
        assert self._recogniser is not None
        rate = phone_errors([wanted], [self._recogniser.hear(read_audio(subject.clip, SAMPLE_RATE))])
        return {"per": sums(rate), "per_mean": Measured(rate.mean)}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """Every phone was left out."""
        wanted = self._wanted(item)
        if isinstance(wanted, Unmeasured):
            return dict.fromkeys(_NAMES, wanted)
        return {"per": sums(phone_errors([wanted], [[]]))}

    def _wanted(self, item: BenchmarkItem) -> list[str] | Unmeasured:
        """Phones that should be said, or why this judge is not to be asked."""
        if self._facts is None:
            self._facts = read_phone_facts(self.folder)
        if not item.transcript or not item.transcript.strip():
            return Unmeasured("The item has no transcript.", "item")
        if item.language not in self._facts.languages:
            return Unmeasured(f"The recogniser was not trained in the item's language ({item.language}).", "item")
        voice = item.facts.get("voice")
        if isinstance(voice, Mapping) and self._facts.knows_voice(voice):
            return Unmeasured("The recogniser was trained on, or chosen by, this very voice.", "item")
        try:
            phones = [phone.symbol for phone in phonemize(item.transcript, item.language)]
        except BadInput as error:  # of the text, so the item's doing and not the clip's
            return Unmeasured(str(error), "item")
        return phones or Unmeasured("The transcript has nothing to be said.", "item")
