"""What a judge must be able to do to take part in an evaluation, and what it may answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import Blame, JudgePin, Metric

LEVEL: Final = 0.95
"""Of the intervals that judges of sets answer with."""


@dataclass(frozen=True)
class Measured:
    """A figure; of a corpus ratio with its numerator and denominator, of a whole set with its interval.

    Attributes:
        low, high: of a set, what other clips could have made of the figure (:data:`LEVEL`), resampled by clip; both or
            neither.
    """

    value: float
    over: float | None = None
    under: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Unmeasured:
    """No figure, why, and whose doing: the item has nothing to measure, or the clip cannot be measured."""

    reason: str
    blame: Blame = "clip"


Answer: TypeAlias = Measured | Unmeasured


class Judge(Protocol):
    """Who measures, exactly, and whether it can here.

    It travels to worker processes before :meth:`prepare`, so until then it holds settings and paths only (it is
    pickled).
    """

    @property
    def judge(self) -> str:
        """Id, as its metrics name it."""

    @property
    def pin(self) -> JudgePin:
        """Version, hash of its weights, settings: whatever its figures depend on."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it measures."""

    def missing(self) -> str | None:
        """Why it cannot judge on this machine (no package, no weights), or None; cheap."""

    def prepare(self) -> None:
        """Load what is needed; called once in each process."""


class MetricFunction(Judge, Protocol):
    """A judge of single clips. The same subject must give the same answers."""

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """An answer for each of its metrics.

        A ``BadInput`` counts as the clip's doing (for what is the item's, answer :class:`Unmeasured`); any other error
        as the judge's own.
        """

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """For a clip that failed or is missing: the sums that a corpus ratio counts, and what the item has nothing to
        measure of (:class:`Unmeasured` with the blame ``item``). May be empty; the clip itself is never looked at."""


class SetFunction(Judge, Protocol):
    """A judge of whole sets of clips (FID, FVD), asked once and in the calling process.

    Its metrics have the aggregate ``distribution``.
    """

    def score_set(self, subjects: Sequence[Subject]) -> Mapping[str, Answer]:
        """An answer for each of its metrics, with an interval where it knows one; errors count as with single clips.

        Nobody else resamples a set: what a figure of a set makes of fewer clips, only its judge knows.
        """
