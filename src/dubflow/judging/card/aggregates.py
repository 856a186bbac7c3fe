"""Aggregates of a card: by all clips and by slices, with failures counted and without, with bootstrap intervals.

Dropping what failed rewards a system for failing on what is hard. So beside the figure of the successes stands one of
everything that was asked for (intention to treat, as in clinical trials): a clip that failed, is missing, or cannot be
measured by its own doing counts at the metric's worst value. Left out of both is what is not the system's doing: what
has nothing to measure for any system (blame ``item``), and what a judge failed on (blame ``judge``), which is counted
beside the figure as unjudged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.bootstrap import ROUNDS
from dubflow.judging.card.resampling import Floats, by_cluster, resampled_sums
from dubflow.judging.card.rows import (
    SLICINGS,
    Aggregate,
    ClipScore,
    Metric,
    Population,
    ScoreCard,
    ScoreProtocol,
    Slicing,
    rows_digest,
    success_rate,
)

Resampled = Literal["clip", "speaker"]
POPULATIONS: tuple[Population, ...] = ("intention_to_treat", "successes")


@dataclass(frozen=True)
class Contributions:
    """What each clip adds to one figure: the figure is ``over.sum() / under.sum()``.

    Attributes:
        over: numerators ``[n]``. under: denominators ``[n]``, 0 for clips that do not count.
        counted: whether the clip counts ``[n]``. at_worst: whether it counts at its worst ``[n]``.
        unjudged: whether its judge failed on it ``[n]``; such a clip does not count.
    """

    over: Floats
    under: Floats
    counted: NDArray[np.bool_]
    at_worst: NDArray[np.bool_]
    unjudged: NDArray[np.bool_]


def contributions(rows: Sequence[ClipScore], metric: Metric, population: Population) -> Contributions:
    """What each of ``rows`` adds to the figure of ``metric``.

    A clip at its worst adds the weights that stand in its row to a corpus ratio or, where none do, those of a clip of
    average length.

    Raises:
        BadInput: ``judging.no_weights`` where a corpus ratio's row has a value and no weights.
    """
    pairs = [_measured(row, metric) for row in rows]
    known = [pair for pair in pairs if pair is not None]
    over, under = np.zeros(len(rows)), np.zeros(len(rows))
    at_worst = np.zeros(len(rows), dtype=bool)
    blame = [row.blamed(metric.name) for row in rows]
    for place, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
        if pair is not None:
            over[place], under[place] = pair
        elif population == "intention_to_treat" and metric.worst is not None and blame[place] == "clip":
            over[place], under[place] = _worst(row, metric, metric.worst, known)
            at_worst[place] = True
    measured = np.array([pair is not None for pair in pairs], dtype=bool)
    return Contributions(over, under, measured | at_worst, at_worst, np.array([one == "judge" for one in blame], bool))


def _measured(row: ClipScore, metric: Metric) -> tuple[float, float] | None:
    value = row.values.get(metric.name)
    if value is None:
        return None
    if metric.aggregate == "mean":
        return (abs(value) if metric.better == "near_zero" else value), 1.0
    if metric.name not in row.weights:
        raise BadInput(
            "judging.no_weights",
            f"Clip {row.clip}: {metric.name} is a rate of sums and has no numerator and denominator.",
            "A metric with the aggregate corpus_ratio must give both for every clip.",
        )
    return row.weights[metric.name]


def _worst(row: ClipScore, metric: Metric, worst: float, known: Sequence[tuple[float, float]]) -> tuple[float, float]:
    if metric.aggregate == "mean":
        return (abs(worst) if metric.better == "near_zero" else worst), 1.0
    if metric.name in row.weights:
        return row.weights[metric.name]
    usual = float(np.mean([under for _, under in known])) if known else 1.0
    return worst * usual, usual


def aggregates(
    rows: Sequence[ClipScore],
    metrics: Sequence[Metric],
    *,
    slicings: Sequence[Slicing] = SLICINGS,
    resample: Resampled = "clip",
    level: float = 0.95,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> tuple[Aggregate, ...]:
    """Every metric in both populations, over all clips and in every slice, with percentile intervals.

    A slice with a single clip (speaker) has a figure and no interval; one where nothing counts has no figure. Metrics
    of whole sets (``distribution``) are not made from rows and are not here.

    Raises:
        BadInput: ``judging.no_weights``.
    """
    wanted = [metric for metric in metrics if metric.aggregate != "distribution"]
    kinds = [(metric, population) for metric in wanted for population in POPULATIONS]
    added = [contributions(rows, metric, population) for metric, population in kinds]
    if not added:
        return ()
    table = np.stack([column for one in added for column in (one.over, one.under)], axis=1)
    speakers = [row.tags.speaker for row in rows]
    found: list[Aggregate] = []
    for by in slicings:
        groups = [row.tags.group(by) for row in rows]
        for group in sorted(set(groups) - {""}):
            places = np.array([place for place, one in enumerate(groups) if one == group])
            units = table[places]
            if resample == "speaker":
                units = by_cluster(units, [speakers[place] for place in places])
            lows, highs = _intervals(units, level, seed, rounds)
            for index, ((metric, population), one) in enumerate(zip(kinds, added, strict=True)):
                over, under = table[places, 2 * index].sum(), table[places, 2 * index + 1].sum()
                if under <= 0 or (population == "intention_to_treat" and metric.worst is None):
                    continue
                if one.unjudged[places].any() and one.at_worst[places].sum() == one.counted[places].sum():
                    continue  # failures alone, where nobody judged what was delivered
                sure = np.isfinite(lows[index])
                found.append(
                    Aggregate(
                        metric=metric.name,
                        population=population,
                        by=by,
                        group=group,
                        value=float(over / under),
                        low=float(lows[index]) if sure else None,
                        high=float(highs[index]) if sure else None,
                        level=level,
                        resampled=resample if sure else "none",
                        clips=int(one.counted[places].sum()),
                        at_worst=int(one.at_worst[places].sum()),
                        unjudged=int(one.unjudged[places].sum()),
                    )
                )
    return tuple(found)


def _intervals(units: Floats, level: float, seed: int, rounds: int) -> tuple[Floats, Floats]:
    """Bounds of each pair of columns' ratio, NaN where fewer than two units count."""
    figures = units.shape[1] // 2
    enough = (units[:, 1::2] > 0).sum(axis=0) >= 2
    bounds = np.full((2, figures), np.nan)
    if enough.any():
        sums = resampled_sums(units, seed=seed, rounds=rounds)
        over, under = sums[:, 0::2][:, enough], sums[:, 1::2][:, enough]
        # A round may draw none of the clips that count; it says nothing of the figure.
        drawn = np.divide(over, under, out=np.full_like(over, np.nan), where=under > 0)
        bounds[:, enough] = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return bounds[0], bounds[1]


def build_card(
    rows: Sequence[ClipScore],
    metrics: Sequence[Metric],
    protocol: ScoreProtocol,
    *,
    benchmark: str,
    system: str,
    world: Literal["embedded", "real"],
    package: str | None = None,
    gaps: Mapping[str, str] | None = None,
    licences: Sequence[str] = (),
    lineage: Mapping[str, str] | None = None,
    costs: Mapping[str, float] | None = None,
    of_sets: Sequence[Aggregate] = (),
    resample: Resampled = "clip",
    seed: int = 0,
    rounds: int = ROUNDS,
) -> ScoreCard:
    """The card of ``rows``; ``of_sets`` are the figures of metrics that judge a whole set (FID, FVD).

    A metric without a figure, because its judge failed or there was nothing to measure, stands in the card's ``gaps``
    by name, with the reason.

    Raises:
        BadInput: ``judging.nothing_to_judge``, ``judging.no_weights``.
        pydantic.ValidationError: where rows, metrics and protocol do not belong together.
    """
    rate = success_rate(rows)
    made = aggregates(rows, metrics, resample=resample, seed=seed, rounds=rounds)
    return ScoreCard(
        protocol=protocol,
        benchmark=benchmark,
        system=system,
        package=package,
        world=world,
        metrics=tuple(metrics),
        gaps=_nowhere_judged(rows, metrics, made) | dict(gaps or {}),
        aggregates=(*made, *of_sets),
        success_rate=rate,
        licences=tuple(licences),
        lineage=dict(lineage or {}),
        costs=dict(costs or {}),
        rows_digest=rows_digest(rows),
        rows=tuple(rows),
    )


def _nowhere_judged(rows: Sequence[ClipScore], metrics: Sequence[Metric], made: Sequence[Aggregate]) -> dict[str, str]:
    """Metrics without any figure, not even one of failures, and the reason that most clips have."""
    there = {one.metric for one in made}
    found: dict[str, str] = {}
    for metric in metrics:
        if metric.name in there or metric.aggregate == "distribution":
            continue
        failed = [row for row in rows if row.blamed(metric.name) == "judge"]
        reasons = Counter(row.reasons[metric.name] for row in rows if metric.name in row.reasons)
        if failed:
            reason = failed[0].reasons[metric.name]
            found[metric.name] = f"{metric.judge} failed on all {len(failed)} clips that it could judge: {reason}"
        else:
            found[metric.name] = reasons.most_common(1)[0][0] if reasons else "No clip was delivered."
    return found
