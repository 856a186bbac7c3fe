"""Judges for the tests of evaluations: they really look at the clips, and write down that they were asked.

In a module of their own, so that worker processes can import them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.media.decode import read_audio

RATE = 16_000


def _metric(name: str, judge: str, **fields: object) -> Metric:
    plain: dict[str, object] = {
        "unit": "",
        "better": "higher",
        "aggregate": "mean",
        "definition": f"{name} for tests.",
        "comparable_with": "nobody",
        "worst": 0.0,
    }
    return Metric.model_validate(plain | fields | {"name": name, "judge": judge})


@dataclass(frozen=True)
class Loudness:
    """Level of a clip, and the share of its samples that are loud.

    Attributes:
        log: every question and every ``prepare`` is a line of it. delay_s: how long an answer takes at least.
        version: of the pin.
    """

    log: Path
    delay_s: float = 0.0
    version: str = "1"
    judge: str = "level"

    @property
    def pin(self) -> JudgePin:
        return JudgePin(version=self.version)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (_metric("rms", self.judge), _metric("loud", self.judge, aggregate="corpus_ratio"))

    def missing(self) -> str | None:
        return None

    def prepare(self) -> None:
        self._note("prepare")

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        self._note(subject.item.id)
        time.sleep(self.delay_s)
        sound = np.asarray(read_audio(subject.clip, sample_rate=RATE), dtype=np.float64).ravel()
        loud = float((np.abs(sound) > 0.1).sum())
        rms: Answer = Measured(float(np.sqrt((sound**2).mean())))
        if subject.item.facts.get("silent"):
            rms = Unmeasured("nothing is to be heard in this item", "item")
        return {"rms": rms, "loud": Measured(loud / len(sound), loud, float(len(sound)))}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        told: dict[str, Answer] = {"loud": Measured(0.0, 0.0, float(item.facts["samples"]))}
        return told | ({"rms": Unmeasured("", "item")} if item.facts.get("silent") else {})

    def _note(self, line: str) -> None:
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(line + "\n")


@dataclass(frozen=True)
class Moody:
    """A judge that fails on items as told: ``nan``, ``crash``, ``refuse``, ``forget``."""

    mood: Mapping[str, str]
    judge: str = "moody"

    @property
    def pin(self) -> JudgePin:
        return JudgePin(version="1")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (_metric("mood", self.judge),)

    def missing(self) -> str | None:
        return None

    def prepare(self) -> None:
        return None

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        mood = self.mood.get(subject.item.id)
        if mood == "crash":
            raise ZeroDivisionError("no mood")
        if mood == "refuse":
            raise BadInput("judging.no_mood", "The clip has no mood.")
        return {} if mood == "forget" else {"mood": Measured(math.nan if mood == "nan" else 1.0)}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        return {}


@dataclass(frozen=True)
class Spread:
    """A judge of whole sets: how far the clips' levels lie apart. With ``fails`` it does not get that far."""

    log: Path
    fails: bool = False
    judge: str = "spread"

    @property
    def pin(self) -> JudgePin:
        return JudgePin(version="1")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (_metric("spread", self.judge, aggregate="distribution", worst=None),)

    def missing(self) -> str | None:
        return None

    def prepare(self) -> None:
        return None

    def score_set(self, subjects: Sequence[Subject]) -> Mapping[str, Answer]:
        with open(self.log, "a", encoding="utf-8") as file:
            file.write("set\n")
        if self.fails:
            raise ZeroDivisionError("no spread")
        peaks = [float(np.abs(read_audio(one.clip, sample_rate=RATE)).max()) for one in subjects]
        return {"spread": Measured(max(peaks) - min(peaks))}


@dataclass(frozen=True)
class Absent(Moody):
    """A judge that is not there."""

    judge: str = "absent"

    def missing(self) -> str | None:
        return "its weights were not given"
