"""One clip before all judges; runs in a worker process."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.functions import Answer, Judge, Measured, MetricFunction, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import Blame, ClipScore, Finite, Metric
from dubflow.media.digest import sha256_file
from dubflow.media.probe import probe


@dataclass(frozen=True)
class Job:
    """An item and the system's clip of it, if there is one; ``failure`` says why the system has none."""

    item: BenchmarkItem
    clip: Path | None
    root: Path
    failure: str = ""


@dataclass(frozen=True)
class Scored:
    """A row, whether nothing had to be asked for it, and which judges failed of their own."""

    row: ClipScore
    cached: bool
    judge_failed: Mapping[str, str] = field(default_factory=dict)


class _Kept(Strict):
    """An answer in the cache."""

    value: Finite | None = None
    over: Finite | None = None
    under: Finite | None = None
    low: Finite | None = None
    high: Finite | None = None
    reason: str = ""
    blame: Blame = "clip"


_prepared: dict[tuple[str, str], MetricFunction] = {}


def score_job(job: Job, *, functions: Sequence[MetricFunction], cache: Path, heard: str, token: str) -> Scored:
    """Ask every judge that has not been asked about this clip before.

    Args:
        heard: digest of how judges hear and see here (rate, crops); other answers are kept for another way.
        token: of this evaluation, whose judges stay loaded in this process.

    Raises:
        BadInput: ``judging.file_changed`` where a file of the item is another one.
        WrongUse: what a judge's ``prepare`` raises.
    """
    item = job.item
    if job.failure:
        return Scored(_failed(item, functions, "failed", job.failure), cached=False)
    if job.clip is None:
        return Scored(_failed(item, functions, "missing", "There is no clip of this item."), cached=False)
    try:
        digest = sha256_file(job.clip)
    except BadInput as error:
        return Scored(_failed(item, functions, "failed", str(error)), cached=False)
    keys = {one.judge: _key(digest, item, heard, one) for one in functions}
    answers = {one.judge: recall(cache, keys[one.judge], one.metrics) for one in functions}
    asked = [one for one in functions if answers[one.judge] is None]
    problems: dict[str, str] = {}
    if asked or not functions:  # of a clip that every judge has seen before it is known that it can be opened
        asked_about = subject(job)
        try:
            probe(job.clip)
        except BadInput as error:
            return Scored(_failed(item, functions, "failed", str(error)), cached=False)
        for one in asked:
            said, problem = ask(one.judge, one.metrics, partial(_ready(one, token).score, asked_about))
            if problem is None:
                keep(cache, keys[one.judge], said)
            else:
                problems[one.judge] = problem
            answers[one.judge] = said
    everything = {name: answer for said in answers.values() if said is not None for name, answer in said.items()}
    return Scored(_row(item, everything), cached=not asked, judge_failed=problems)


def _key(clip: str, item: BenchmarkItem, heard: str, function: MetricFunction) -> str:
    return content_key({"clip": clip, "item": item.digest, "heard": heard, **identity(function)})


def identity(judge: Judge) -> dict[str, Any]:
    """What an answer depends on besides the clip: the judge, its pin, the definitions of its metrics."""
    metrics = [metric.model_dump(mode="json") for metric in judge.metrics]
    return {"judge": judge.judge, "pin": judge.pin.model_dump(mode="json"), "metrics": metrics}


def subject(job: Job) -> Subject:
    """What the judges get of a job that has a clip.

    Raises:
        BadInput: ``judging.file_changed``; ``media.missing`` and the like.
    """
    if job.clip is None:
        raise BadInput("judging.nothing_to_judge", f"There is no clip of {job.item.id}.", "Give one.")
    files = {}
    for role, file in job.item.files.items():
        path = job.root / file.path
        if sha256_file(path) != file.sha256:
            raise BadInput(
                "judging.file_changed",
                f"{path} is not the file that the benchmark was made with.",
                "Restore it, or make the benchmark again.",
            )
        files[role] = path
    return Subject(job.item, job.clip, files)


def _ready(function: MetricFunction, token: str) -> MetricFunction:
    key = (token, function.judge)
    if key not in _prepared:
        for old in [one for one in _prepared if one[0] != token]:  # models of an earlier evaluation
            del _prepared[old]
        function.prepare()
        _prepared[key] = function
    return _prepared[key]


def ask(
    judge: str, metrics: Sequence[Metric], question: Callable[[], Mapping[str, Answer]]
) -> tuple[dict[str, Answer], str | None]:
    """Answers for all ``metrics``, and the problem where they are the judge's own failure."""
    names = [metric.name for metric in metrics]
    try:
        said = dict(question())
    except BadInput as error:
        return dict.fromkeys(names, Unmeasured(str(error))), None
    except WrongUse:
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        return dict.fromkeys(names, Unmeasured(problem, "judge")), problem
    problems = [f"{name} is no metric of {judge}" for name in sorted(set(said) - set(names))]
    answers: dict[str, Answer] = {}
    for metric in metrics:
        unsound = _unsound(metric, said.get(metric.name))
        answers[metric.name] = said[metric.name] if unsound is None else Unmeasured(unsound, "judge")
        problems += [unsound] if unsound is not None else []
    return answers, "; ".join(problems) or None


def _unsound(metric: Metric, answer: Answer | None) -> str | None:
    if answer is None:
        return f"{metric.name} was not answered"
    if isinstance(answer, Unmeasured):
        return None
    sums, bounds = (answer.over, answer.under), (answer.low, answer.high)
    if metric.aggregate == "corpus_ratio" and None in sums:
        return f"{metric.name} was answered without numerator and denominator"
    numbers = [answer.value, *(part for part in (*sums, *bounds) if part is not None)]
    if bounds.count(None) == 1:
        return f"{metric.name} was answered with half an interval"
    if not all(map(math.isfinite, numbers)) or (answer.under or 0) < 0:
        return f"{metric.name} was answered with {', '.join(map(str, numbers))}"
    return None


def _row(item: BenchmarkItem, answers: Mapping[str, Answer]) -> ClipScore:
    measured = {name: one for name, one in answers.items() if isinstance(one, Measured)}
    others = {name: one for name, one in answers.items() if isinstance(one, Unmeasured)}
    return ClipScore(
        clip=item.id,
        item=item.digest,
        tags=item.tags,
        status="ok",
        values={name: measured[name].value if name in measured else None for name in answers},
        weights=_sums(measured),
        reasons={name: one.reason for name, one in others.items()},
        blame={name: one.blame for name, one in others.items()},
    )


def _failed(item: BenchmarkItem, functions: Sequence[MetricFunction], status: Any, reason: str) -> ClipScore:
    answers = {name: answer for one in functions for name, answer in one.when_failed(item).items()}
    return ClipScore(
        clip=item.id,
        item=item.digest,
        tags=item.tags,
        status=status,
        reason=reason,
        weights=_sums({name: one for name, one in answers.items() if isinstance(one, Measured)}),
        blame={name: one.blame for name, one in answers.items() if isinstance(one, Unmeasured)},
    )


def _sums(measured: Mapping[str, Measured]) -> dict[str, tuple[float, float]]:
    pairs = {name: (one.over, one.under) for name, one in measured.items()}
    return {name: (over, under) for name, (over, under) in pairs.items() if over is not None and under is not None}


def _path(cache: Path, key: str) -> Path:
    return cache / key[:2] / f"{key}.json"


def keep(cache: Path, key: str, answers: Mapping[str, Answer]) -> None:
    """Write what a judge said under its content's key."""
    kept = {
        name: _Kept(value=one.value, over=one.over, under=one.under, low=one.low, high=one.high)
        if isinstance(one, Measured)
        else _Kept(reason=one.reason, blame=one.blame)
        for name, one in answers.items()
    }
    write_json(_path(cache, key), {name: one.model_dump(mode="json") for name, one in kept.items()})


def recall(cache: Path, key: str, metrics: Sequence[Metric]) -> dict[str, Answer] | None:
    """What was kept; None where there is nothing, or nothing that can be read (then it is asked again)."""
    try:
        content = json.loads(_path(cache, key).read_text(encoding="utf-8"))
        kept = {metric.name: _Kept.model_validate(content[metric.name]) for metric in metrics}
    except (OSError, ValueError, TypeError, KeyError, ValidationError):
        return None
    return {
        name: Unmeasured(one.reason, one.blame)
        if one.value is None
        else Measured(one.value, one.over, one.under, one.low, one.high)
        for name, one in kept.items()
    }
