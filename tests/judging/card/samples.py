"""A small card that has everything a card can have."""

from __future__ import annotations

from typing import Any

from dubflow.judging.card.rows import (
    Aggregate,
    ClipScore,
    JudgePin,
    Metric,
    ScoreCard,
    Tags,
    rows_digest,
    score_protocol,
    success_rate,
)

METRICS = (
    Metric(
        name="wer",
        unit="",
        better="lower",
        aggregate="corpus_ratio",
        definition="Word errors over words of the reference.",
        comparable_with="cards of the same protocol",
        judge="recogniser",
        worst=1.0,
    ),
    Metric(
        name="secs",
        unit="",
        better="higher",
        aggregate="mean",
        definition="Cosine of the speaker embeddings.",
        comparable_with="nobody",
        judge="encoder",
        worst=-1.0,
    ),
    Metric(
        name="av_offset",
        unit="frames",
        better="near_zero",
        aggregate="mean",
        definition="Shift of sound against lips.",
        comparable_with="nobody",
        judge="lips",
        worst=15.0,
    ),
    Metric(
        name="fid",
        unit="",
        better="lower",
        aggregate="distribution",
        definition="Fréchet distance of two sets.",
        comparable_with="nobody",
        judge="inception",
    ),
)
JUDGES = {
    "recogniser": JudgePin(version="5.1", settings={"grammar": True}),
    "encoder": JudgePin(version="1", sha256="ab" * 32),
    "lips": JudgePin(version="1"),
    "inception": JudgePin(version="1", sha256="cd" * 32),
}
PROTOCOL = score_protocol(JUDGES, METRICS, benchmark="12" * 32, sample_rate=16000, crops={"mouth": "96 pixels"})


def clip_rows() -> tuple[ClipScore, ...]:
    """Four clips: whole, with gaps, failed, missing."""
    return (
        ClipScore(
            clip="a/1",
            item="01" * 32,
            tags=Tags(language_pair="en-fr", speaker="s1", length="short", difficulty="standard"),
            status="ok",
            values={"wer": 0.25, "secs": 0.5, "av_offset": -2.0},
            weights={"wer": (1.0, 4.0)},
        ),
        ClipScore(
            clip="a/2",
            tags=Tags(language_pair="en-fr", speaker="s2"),
            status="ok",
            values={"wer": 0.5, "secs": None, "av_offset": None},
            weights={"wer": (3.0, 6.0)},
            reasons={"secs": "no reference voice", "av_offset": "no face was found"},
            blame={"secs": "item"},
        ),
        ClipScore(clip="b/1", status="failed", reason="the clip has no sound", weights={"wer": (5.0, 5.0)}),
        ClipScore(clip="b/2", status="missing", reason="no file", blame={"secs": "item"}),
    )


def sample_card(**changes: Any) -> ScoreCard:
    """The card of :func:`clip_rows`, or one with other fields."""
    rows = changes.pop("rows", clip_rows())
    fields: dict[str, Any] = {
        "protocol": PROTOCOL,
        "benchmark": "sample",
        "system": "ours",
        "package": "ef" * 32,
        "world": "embedded",
        "metrics": METRICS,
        "gaps": {"dnsmos": "its package is not installed"},
        "aggregates": (
            Aggregate(
                metric="wer", population="intention_to_treat", value=0.6, low=0.25, high=1.0, clips=4, at_worst=2
            ),
            Aggregate(metric="fid", population="successes", value=12.5, resampled="none", clips=2),
        ),
        "success_rate": success_rate(rows),
        "licences": ("Apache-2.0",),
        "lineage": {"run": "r1"},
        "costs": {"device_s_per_minute": 20.0},
        "rows_digest": rows_digest(rows),
        "rows": rows,
    }
    return ScoreCard(**fields | changes)
