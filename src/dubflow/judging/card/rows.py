"""What a score card is made of: metrics, a row a clip, the protocol that pins every judge, and the card itself.

A figure means something only together with who measured it and how. So a metric carries its definition and what it may
be compared with, and a card carries a protocol id: the digest of everything that could move a figure without the judged
system having changed. Cards of different protocols are never compared.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from dubflow.config import Strict
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput

FORMAT: Literal["dubflow.card/1"] = "dubflow.card/1"

Better = Literal["higher", "lower", "near_zero", "none"]
Aggregation = Literal["mean", "corpus_ratio", "distribution"]
Status = Literal["ok", "failed", "missing"]
Blame = Literal["item", "clip", "judge"]
Population = Literal["intention_to_treat", "successes"]
Slicing = Literal["all", "language_pair", "speaker", "length", "difficulty"]

SLICINGS: tuple[Slicing, ...] = ("all", "language_pair", "speaker", "length", "difficulty")
ALL = "all"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
MetricName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.\-]*$")]


class Metric(Strict):
    """What is measured, and how far a figure of it may be trusted."""

    name: MetricName
    unit: str = Field(description="As printed behind the figure; '' for plain numbers and rates.")
    better: Better = Field(description="near_zero: judged and averaged as absolute value; none: shown, never judged.")
    aggregate: Aggregation = Field(
        description="mean of clips; corpus_ratio: sum of numerators over sum of denominators; distribution: one figure "
        "for a set of clips, given and not averaged."
    )
    definition: str = Field(min_length=1, description="How it is computed, with the source of the definition.")
    comparable_with: str = Field(min_length=1, description="Whose figures may stand beside it; 'nobody' is an answer.")
    judge: str = Field(min_length=1, description="Id of the judge that measures it, pinned by the protocol.")
    worst: Finite | None = Field(
        default=None,
        description="What a failed, missing or unmeasurable clip counts in the intention-to-treat row; None where the "
        "metric has no such value, and then it has no such row.",
    )

    @model_validator(mode="after")
    def _judged_metrics_have_a_worst(self) -> Metric:
        if self.worst is None and self.better != "none" and self.aggregate != "distribution":
            raise ValueError("a metric that is judged must say what a failed clip counts (worst)")
        return self


class Tags(Strict):
    """What a clip is counted under; the same for every system that is judged on it."""

    language_pair: str = Field(default="", description="As 'en-fr'; '' where unknown, and then in no slice.")
    speaker: str = ""
    length: str = Field(default="", description="Length class, for example 'short'.")
    difficulty: str = Field(default="", description="For example 'standard', 'profile', 'occluded'.")

    def group(self, by: Slicing) -> str:
        """The group of this clip in a slicing; '' for none."""
        return ALL if by == "all" else str(getattr(self, by))


class ClipScore(Strict):
    """One clip of one system, judged.

    A metric without a value has a reason, and somebody whose doing it was: the ``item`` (no such thing to measure, for
    whatever system: left out of every aggregate), the ``clip`` (the system's doing: counts at its worst), or the
    ``judge`` (ours: left out and counted as unjudged, and no verdict rests on such a card).
    """

    clip: str = Field(min_length=1, description="Id of the benchmark's item.")
    item: Digest | None = Field(default=None, description="Digest of the benchmark's item.")
    tags: Tags = Tags()
    status: Status
    values: dict[MetricName, Finite | None] = Field(default_factory=dict)
    weights: dict[MetricName, tuple[Finite, Finite]] = Field(
        default_factory=dict,
        description="Numerator and denominator of corpus ratios. Of a clip that failed: what it counts (its worst).",
    )
    reasons: dict[MetricName, str] = Field(default_factory=dict, description="Why a metric has no value.")
    blame: dict[MetricName, Blame] = Field(default_factory=dict, description="Whose doing; 'clip' where not said.")
    reason: str = Field(default="", description="Why the clip failed or is missing.")

    @model_validator(mode="after")
    def _nothing_is_silently_absent(self) -> ClipScore:
        if self.status != "ok" and not self.reason:
            raise ValueError(f"a clip that is {self.status} must have a reason")
        if self.status != "ok" and (self.values or self.reasons):
            raise ValueError(f"a clip that is {self.status} has neither values nor reasons for single metrics")
        if self.status == "ok":
            silent = [name for name, value in self.values.items() if value is None and not self.reasons.get(name)]
            if silent:
                raise ValueError(f"no value and no reason for {', '.join(silent)}")
        stray = [name for name in {**self.reasons, **self.blame} if self.values.get(name) is not None]
        if stray:
            raise ValueError(f"a reason for no value beside a value: {', '.join(stray)}")
        if any(under < 0 for _, under in self.weights.values()):
            raise ValueError("a denominator is negative")
        return self

    def blamed(self, metric: str) -> Blame | None:
        """Whose doing it is that ``metric`` has no value; None where it has one."""
        if self.values.get(metric) is not None:
            return None
        return self.blame.get(metric, "clip")


class JudgePin(Strict):
    """Exactly which judge: another version, other weights or other settings are another judge."""

    version: str = Field(min_length=1, description="Of the package or model.")
    sha256: Digest | None = Field(default=None, description="Of its weights; None for judges that are only code.")
    settings: dict[str, str | int | float | bool | None] = Field(default_factory=dict)


class ProtocolParts(Strict):
    """Everything that could move a figure without the judged system having changed."""

    judges: dict[str, JudgePin]
    crops: dict[str, str] = Field(default_factory=dict, description="Name of a crop to what defines it.")
    sample_rate: int = Field(gt=0, description="Hz that sound is judged at.")
    benchmark: Digest = Field(description="Digest of the benchmark: its items, references and tags.")
    metrics: dict[MetricName, Digest] = Field(description="Digest of every metric's definition.")


class ScoreProtocol(Strict):
    """Parts and their digest, by which cards know whether they may be compared."""

    id: Digest
    parts: ProtocolParts

    @model_validator(mode="after")
    def _id_is_theirs(self) -> ScoreProtocol:
        if self.id != content_key(self.parts.model_dump(mode="json")):
            raise ValueError("the protocol's id is not the digest of its parts")
        return self


def score_protocol(
    judges: Mapping[str, JudgePin],
    metrics: Iterable[Metric],
    *,
    benchmark: str,
    sample_rate: int,
    crops: Mapping[str, str] | None = None,
) -> ScoreProtocol:
    """The protocol of an evaluation.

    Raises:
        BadInput: ``judging.unpinned_judge`` where a metric's judge is not among ``judges``.
    """
    listed = tuple(metrics)
    unpinned = sorted({metric.judge for metric in listed} - set(judges))
    if unpinned:
        raise BadInput(
            "judging.unpinned_judge",
            f"Nothing says which version these judges are of: {', '.join(unpinned)}.",
            "Pin every judge by version, and by the hash of its weights where it has any.",
        )
    digests = {metric.name: content_key(metric.model_dump(mode="json")) for metric in listed}
    parts = ProtocolParts(
        judges=dict(judges), crops=dict(crops or {}), sample_rate=sample_rate, benchmark=benchmark, metrics=digests
    )
    return ScoreProtocol(id=content_key(parts.model_dump(mode="json")), parts=parts)


class Aggregate(Strict):
    """One figure of many clips, with its bootstrap interval."""

    metric: MetricName
    population: Population
    by: Slicing = "all"
    group: str = ALL
    value: Finite
    low: Finite | None = Field(default=None, description="None where the figure cannot be resampled by clip.")
    high: Finite | None = None
    level: float = Field(default=0.95, gt=0, lt=1)
    resampled: Literal["clip", "speaker", "none"] = "clip"
    clips: int = Field(gt=0, description="That the figure rests on.")
    at_worst: int = Field(default=0, ge=0, description="Of these, clips that had no value and count at their worst.")
    unjudged: int = Field(default=0, ge=0, description="Clips beside these on which the judge failed.")


class ScoreCard(Strict):
    """What a system scored. On disk ``card.json`` with the rows beside it (``rows.parquet``)."""

    format: Literal["dubflow.card/1"] = FORMAT
    protocol: ScoreProtocol
    benchmark: str = Field(min_length=1, description="Name of the benchmark, for people.")
    system: str = Field(min_length=1, description="Who made the clips.")
    package: Digest | None = Field(default=None, description="Digest of the model package, where there is one.")
    world: Literal["embedded", "real"] = Field(description="Figures from the embedded world are always called so.")
    metrics: tuple[Metric, ...]
    gaps: dict[str, str] = Field(
        default_factory=dict, description="Metrics that have no figure, and judges that were missing, and why."
    )
    aggregates: tuple[Aggregate, ...] = ()
    success_rate: float = Field(ge=0, le=1, description="Clips with status ok over all clips of the benchmark.")
    licences: tuple[str, ...] = Field((), description="Of everything that the system was made from.")
    lineage: dict[str, str] = Field(default_factory=dict, description="Where it came from: run, data, code, parent.")
    costs: dict[str, Finite] = Field(default_factory=dict, description="Such as device_s_per_minute of dubbed clip.")
    rows_digest: Digest
    rows: tuple[ClipScore, ...] = Field(min_length=1, exclude=True)

    @field_validator("rows")
    @classmethod
    def _each_clip_once(cls, rows: tuple[ClipScore, ...]) -> tuple[ClipScore, ...]:
        twice = [clip for clip, count in Counter(row.clip for row in rows).items() if count > 1]
        if twice:
            raise ValueError(f"clips stand twice: {', '.join(sorted(twice)[:5])}")
        return tuple(sorted(rows, key=lambda row: row.clip))

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> ScoreCard:
        names = [metric.name for metric in self.metrics]
        if len(set(names)) != len(names):
            raise ValueError("a metric stands twice")
        digests = {metric.name: content_key(metric.model_dump(mode="json")) for metric in self.metrics}
        if digests != self.protocol.parts.metrics:
            raise ValueError("the metrics are not those of the protocol")
        measured = {metric.name for metric in self.metrics if metric.aggregate != "distribution"}
        for row in self.rows:
            if row.status == "ok" and set(row.values) != measured:
                odd = sorted(set(row.values) ^ measured)
                raise ValueError(f"clip {row.clip} and the card disagree on: {', '.join(odd)}")
        stray = sorted({one.metric for one in self.aggregates} - set(names))
        if stray:
            raise ValueError(f"aggregates of metrics that the card does not have: {', '.join(stray)}")
        if self.rows_digest != rows_digest(self.rows):
            raise ValueError("the rows are not those that the card was made with")
        if not math.isclose(self.success_rate, success_rate(self.rows), abs_tol=1e-12):
            raise ValueError("the success rate is not that of the rows")
        return self

    @property
    def digest(self) -> str:
        """Of the whole card, rows included (by their own digest)."""
        return content_key(self.model_dump(mode="json"))

    def metric(self, name: str) -> Metric | None:
        """The metric of that name, if the card has it."""
        return next((metric for metric in self.metrics if metric.name == name), None)


def rows_digest(rows: Iterable[ClipScore]) -> str:
    """Of the rows' content, whatever their order and whatever file they lie in."""
    return content_key({row.clip: row.model_dump(mode="json") for row in rows})


def success_rate(rows: Iterable[ClipScore]) -> float:
    """Clips with status ok over all clips.

    Raises:
        BadInput: ``judging.nothing_to_judge``.
    """
    states = [row.status for row in rows]
    if not states:
        raise BadInput("judging.nothing_to_judge", "There is no clip to judge.", "Give at least one.")
    return states.count("ok") / len(states)
