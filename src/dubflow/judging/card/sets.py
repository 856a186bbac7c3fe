"""Metrics of a whole set of clips (FID, FVD): one figure of all clips that were delivered, not a mean of clips'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dubflow.corpora.cache import content_key
from dubflow.judging.card.functions import LEVEL, Answer, Measured, SetFunction, Unmeasured
from dubflow.judging.card.items import Subject
from dubflow.judging.card.rows import Aggregate
from dubflow.judging.card.scoring import ask, identity, keep, recall
from dubflow.media.digest import sha256_file


@dataclass
class OfSets:
    """Figures of sets, and why others have none (by metric)."""

    figures: list[Aggregate] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)


def score_sets(functions: Sequence[SetFunction], subjects: Sequence[Subject], cache: Path, heard: str) -> OfSets:
    """Ask each judge about all ``subjects`` at once; answers are kept by the content of all clips.

    ``heard`` is the digest of how judges hear and see (rate, crops).
    """
    found = OfSets()
    clips = {one.item.id: [sha256_file(one.clip), one.item.digest] for one in subjects} if functions else {}
    for function in functions:
        answers = _answers(function, subjects, clips, cache, heard)
        for name, answer in answers.items():
            if isinstance(answer, Unmeasured):
                found.reasons[name] = answer.reason
                continue
            found.figures.append(_figure(name, answer, len(subjects)))
    return found


def _figure(name: str, answer: Measured, clips: int) -> Aggregate:
    return Aggregate(
        metric=name,
        population="successes",
        value=answer.value,
        low=answer.low,
        high=answer.high,
        level=LEVEL,
        resampled="none" if answer.low is None else "clip",
        clips=clips,
    )


def _answers(
    function: SetFunction, subjects: Sequence[Subject], clips: Mapping[str, list[str]], cache: Path, heard: str
) -> dict[str, Answer]:
    if not subjects:
        return {metric.name: Unmeasured("no clip was delivered") for metric in function.metrics}
    key = content_key({"set": dict(clips), "heard": heard, **identity(function)})
    answers = recall(cache, key, function.metrics)
    if answers is None:
        function.prepare()
        answers, problem = ask(function.judge, function.metrics, lambda: function.score_set(subjects))
        if problem is None:
            keep(cache, key, answers)
    return answers
