"""Who sits on the bench: the judges that a settings object names, and why every other metric has no figure.

For each metric the first judge is taken that can work here: a large one whose weights are named before the offline one.
Whatever stays without a judge is a gap with a reason, by the metric's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import Field

from dubflow.config import Strict, load_preset
from dubflow.errors import WrongUse
from dubflow.judging.card.functions import Answer, Judge, MetricFunction, SetFunction
from dubflow.judging.card.items import Benchmark, BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import JUDGES, LISTINGS, Listing
from dubflow.judging.full.picture_judges import picture_judges
from dubflow.judging.full.settings import FullJudges
from dubflow.judging.full.settings import sound_judges as full_sound_judges
from dubflow.judging.offline.open_words import OpenWords
from dubflow.judging.offline.picture import FaceJudge
from dubflow.judging.offline.sound import sound_judges
from dubflow.judging.offline.voices import OwnVoice
from dubflow.judging.offline.words import GridWords
from dubflow.judging.phone_judge.judge import PhoneWords
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.judging.sync_judge.judge import SmallSyncJudge

AnyJudge = TypeVar("AnyJudge", bound=Judge)


class JudgeSettings(Strict):
    """Who judges; the section ``judges`` of a preset."""

    full: FullJudges = Field(FullJudges(), description="Weights of large judges; the others are offline.")
    only: tuple[str, ...] = Field((), description="Metrics, groups of metrics or judges; empty: all.")
    sample_rate: Literal[16_000] = Field(16_000, description="Hz that all judges hear at.")


@dataclass(frozen=True)
class Judges:
    """Everything that an evaluation asks.

    Attributes:
        functions, set_functions: judges that can work here; no metric has two.
        gaps: metrics that were wanted and have no judge, and why.
        crops: what defines the crops that judges see; of all judges there are, so that one more or less leaves the
            answers of the others valid. sample_rate: Hz that they hear at.
    """

    functions: tuple[MetricFunction, ...]
    set_functions: tuple[SetFunction, ...] = ()
    gaps: Mapping[str, str] = field(default_factory=dict)
    crops: Mapping[str, str] = field(default_factory=dict)
    sample_rate: int = SAMPLE_RATE

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What they measure."""
        return tuple(chain.from_iterable(one.metrics for one in (*self.functions, *self.set_functions)))


def read_judge_settings(name: str | None) -> JudgeSettings:
    """The section ``judges`` of a shipped preset or a YAML file; offline judges alone without a name.

    Raises:
        WrongUse: ``config.unknown_preset``. BadInput: ``config.bad_preset``.
    """
    return JudgeSettings() if name is None else load_preset(name, "judges", JudgeSettings)


def build_judges(settings: JudgeSettings, benchmark: Benchmark, root: Path) -> Judges:
    """The judges of ``settings`` for a benchmark whose paths are relative to ``root``; nothing is loaded yet.

    Raises:
        WrongUse: ``judging.unknown_metric`` for a name in ``only`` that nothing has.
    """
    full_sound = full_sound_judges(settings.full)
    full_picture, set_functions, crops = picture_judges(settings.full)
    functions = [*full_sound, *full_picture, *_offline(benchmark, Path(root))]
    bench = Bench(_wanted(settings.only, [*functions, *set_functions]))
    return Judges(
        functions=bench.seat(functions),
        set_functions=bench.seat(set_functions),
        gaps=bench.gaps(),
        crops=crops,
        sample_rate=settings.sample_rate,
    )


def _offline(benchmark: Benchmark, root: Path) -> list[MetricFunction]:
    words = (GridWords(), OpenWords(), PhoneWords())
    faces = (SmallSyncJudge(), FaceJudge(), FaceJudge(identity=True))
    return [*words, *sound_judges(), OwnVoice(benchmark, root), *faces]


def _wanted(only: Sequence[str], judges: Iterable[Judge]) -> frozenset[str]:
    """Names of the metrics that ``only`` means: metrics, groups and judges; all where it is empty.

    Raises:
        WrongUse: ``judging.unknown_metric``.
    """
    by_judge = {one.judge: {metric.name for metric in one.metrics} for one in judges}
    for kind in JUDGES:
        measured = {one.name for one in LISTINGS if kind in (one.offline, one.full)}
        by_judge[kind] = by_judge.get(kind, set()) | measured
    by_group: dict[str, set[str]] = {}
    for one in LISTINGS:
        by_group.setdefault(one.group, set()).add(one.name)
    every = frozenset(one.name for one in LISTINGS)
    found: set[str] = set()
    for name in only:
        named = {name} if name in every else by_group.get(name) or by_judge.get(name)
        if not named:
            raise WrongUse(
                "judging.unknown_metric",
                f"There is no metric, group of metrics or judge {name!r}.",
                f"Groups: {', '.join(by_group)}. Metrics: {', '.join(one.name for one in LISTINGS)}.",
            )
        found |= named
    return frozenset(found) if only else every


@dataclass(frozen=True, eq=False)
class Narrowed:
    """A judge asked about some of its metrics only; a ``MetricFunction`` or ``SetFunction``, as the judge is.

    Args:
        of: the judge. names: of its metrics, at least one.
    """

    of: Any
    names: tuple[str, ...]

    @property
    def judge(self) -> str:
        """The judge's id."""
        return str(self.of.judge)

    @property
    def pin(self) -> JudgePin:
        """The judge's."""
        pin: JudgePin = self.of.pin
        return pin

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that are asked for."""
        return tuple(metric for metric in self.of.metrics if metric.name in self.names)

    def missing(self) -> str | None:
        """Why the judge cannot work here, or None."""
        why: str | None = self.of.missing()
        return why

    def prepare(self) -> None:
        """Load what the judge needs."""
        self.of.prepare()

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """The judge's answers to what is asked."""
        return self._asked(self.of.score(subject))

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """The judge's, of what is asked."""
        return self._asked(self.of.when_failed(item))

    def score_set(self, subjects: Sequence[Subject]) -> Mapping[str, Answer]:
        """The judge's answers to what is asked."""
        return self._asked(self.of.score_set(subjects))

    def _asked(self, answers: Mapping[str, Answer]) -> dict[str, Answer]:
        return {name: answer for name, answer in answers.items() if name in self.names}


class Bench:
    """Gives each metric its judge, and keeps why some have none."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self._taken: set[str] = set()
        self._why: dict[str, str] = {}

    def seat(self, judges: Sequence[AnyJudge]) -> tuple[AnyJudge, ...]:
        """Those who can work here, each for the metrics that are wanted and have no judge yet."""
        seated: list[AnyJudge] = []
        for one in judges:
            own = tuple(metric.name for metric in one.metrics)
            names = tuple(name for name in own if name in self._wanted - self._taken)
            why = one.missing() if names else None
            if why is not None:
                self._why |= dict.fromkeys(names, why)  # the last word: of those at hand, not of those to be brought
            elif names:
                self._taken.update(names)
                seated.append(one if names == own else cast(AnyJudge, Narrowed(one, names)))
        return tuple(seated)

    def gaps(self) -> dict[str, str]:
        """Wanted metrics that nobody took, in the catalogue's order."""
        free = [one for one in LISTINGS if one.name in self._wanted - self._taken]
        return {one.name: self._why.get(one.name) or _nobody(one) for one in free}


def _nobody(one: Listing) -> str:
    return JUDGES[one.wanting].gap if one.wanting else "No judge measures it here."
