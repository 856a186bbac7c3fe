"""Systems by simulation: the same clips, as hard for one as for the other, and scores that differ as told."""

from __future__ import annotations

from typing import Any

import numpy as np

from dubflow.judging.card.aggregates import build_card
from dubflow.judging.card.rows import ClipScore, JudgePin, Metric, ScoreCard, Tags, score_protocol
from dubflow.judging.gate.policy import Policy

WER = Metric(
    name="wer",
    unit="",
    better="lower",
    aggregate="corpus_ratio",
    definition="Word errors over words.",
    comparable_with="the same protocol",
    judge="recogniser",
    worst=1.0,
)
SECS = Metric(
    name="secs",
    unit="",
    better="higher",
    aggregate="mean",
    definition="Cosine of embeddings.",
    comparable_with="the same protocol",
    judge="encoder",
    worst=-1.0,
)
OFFSET = Metric(
    name="offset",
    unit="frames",
    better="near_zero",
    aggregate="mean",
    definition="Sound against lips.",
    comparable_with="the same protocol",
    judge="lips",
    worst=15.0,
)
METRICS = (WER, SECS, OFFSET)
JUDGES = {name: JudgePin(version="1") for name in ("recogniser", "encoder", "lips")}
PROTOCOL = score_protocol(JUDGES, METRICS, benchmark="ab" * 32, sample_rate=16000)
LANGUAGES = ("en-de", "en-fr", "en-ru")


def system(
    *,
    wer: float = 0.2,
    secs: float = 0.6,
    offset: float = 0.0,
    clips: int = 150,
    seed: int = 0,
    name: str = "system",
    failed: int = 0,
    worse_in: str = "",
    **card: Any,
) -> ScoreCard:
    """A card of ``clips`` clips. Difficulty is drawn by the clip's own seed, the system's noise by ``seed``.

    ``wer``: mean rate; ``worse_in``: a language pair in which it is 0.3 more. ``failed``: how many clips failed.
    """
    hard, noise = np.random.default_rng(99), np.random.default_rng([seed, 1])
    words = hard.integers(4, 14, clips)
    difficulty = hard.beta(2, 5, clips) - 2 / 7
    rows = []
    for place in range(clips):
        tags = Tags(language_pair=LANGUAGES[place % 3], speaker=f"s{place % 12}")
        clip = f"{place:04}"
        if place < failed:
            sums = (float(words[place]), float(words[place]))
            rows.append(ClipScore(clip=clip, tags=tags, status="failed", reason="crashed", weights={"wer": sums}))
            continue
        rate = wer + 0.3 * difficulty[place] + 0.3 * (tags.language_pair == worse_in)
        errors = float(noise.binomial(words[place], np.clip(rate, 0, 1)))
        values = {
            "wer": errors / float(words[place]),
            "secs": secs + 0.3 * difficulty[place] + noise.normal(0, 0.05),
            "offset": float(round(offset + noise.normal(0, 1))),
        }
        sums = (errors, float(words[place]))
        rows.append(ClipScore(clip=clip, tags=tags, status="ok", values=values, weights={"wer": sums}))
    rest: dict[str, Any] = {"package": "cd" * 32, "licences": ("MIT",), "lineage": {"run": "r"}, "costs": {"cost": 1.0}}
    return build_card(
        rows, METRICS, PROTOCOL, benchmark="simulated", system=name, world="embedded", rounds=20, **rest | card
    )


def policy(**changes: Any) -> Policy:
    """A policy with every kind of rule."""
    fields: dict[str, Any] = {
        "format": "dubflow.policy/1",
        "name": "test",
        "rounds": 1000,
        "smallest_sample": 100,
        "success_rate": 0.95,
        "primary": {"metric": "wer", "worthwhile": 0.02},
        "guardrails": [{"metric": "secs", "margin": 0.02}, {"metric": "offset", "margin": 0.5}],
        "floors": [{"metric": "wer", "at_most": 0.4}, {"metric": "secs", "at_least": 0.3}],
        "slices": [{"by": "language_pair", "metric": "wer", "margin": 0.1}],
        "licences": ["MIT"],
        "lineage": ["run"],
        "costs": {"cost": 2.0},
    }
    return Policy.model_validate(fields | changes)
