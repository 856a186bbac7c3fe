"""What the gate promises about its errors, by simulation: 2,000 pairs of systems with known true differences.

At most 5 % of wrong statements each, up to what 2,000 trials can tell (the 97.5 % point of the binomial).
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dubflow.judging.card.rows import ClipScore, Metric, Tags
from dubflow.judging.gate.comparison import compare, holm
from dubflow.judging.gate.decide import compared
from dubflow.judging.gate.pairing import Paired
from dubflow.judging.gate.policy import Policy
from dubflow.judging.gate.power import needed, power_line, visible
from dubflow.judging.gate.simulation import similarities, word_errors
from dubflow.judging.gate.verdict import decision
from judging.gate.systems import SECS, WER

PAIRS, CLIPS, ALPHA = 2000, 120, 0.05
BOUND = ALPHA + NormalDist().inv_cdf(0.975) * (ALPHA * (1 - ALPHA) / PAIRS) ** 0.5
ROWS = tuple(
    ClipScore(clip=f"{place:03}", tags=Tags(language_pair=f"l{place % 3}"), status="failed", reason="drawn below")
    for place in range(CLIPS)
)
POLICY = Policy.model_validate(
    {
        "format": "dubflow.policy/1",
        "name": "simulated",
        "alpha": ALPHA,
        "rounds": 1000,
        "smallest_sample": 2,
        "primary": {"metric": "wer", "worthwhile": 0.05},
        "guardrails": [{"metric": "secs", "margin": 0.02}],
    }
)
Draw = Callable[[np.random.Generator, float, int], NDArray[np.float64]]


def _rate(event: Callable[[np.random.Generator], bool], seed: int, trials: int = PAIRS) -> float:
    rng = np.random.default_rng(seed)
    return sum(event(rng) for _ in range(trials)) / trials


def _compared(table: NDArray[np.float64], metric: Metric) -> Any:
    found = compare(table, higher_is_better=metric.better == "higher", seed=0, rounds=POLICY.rounds)
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "metric"), [(word_errors, WER), (similarities, SECS)])
def test_equal_models_are_seldom_called_better(draw: Draw, metric: Metric) -> None:
    rate = _rate(lambda rng: _compared(draw(rng, 0.0, CLIPS), metric).p_above(0.0) <= ALPHA, seed=1)
    assert 0.02 < rate <= BOUND  # and the test is not simply blind


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "metric", "margin"), [(word_errors, WER, 0.03), (similarities, SECS, 0.02)])
def test_a_model_that_is_worse_by_the_margin_seldom_passes(draw: Draw, metric: Metric, margin: float) -> None:
    rate = _rate(lambda rng: _compared(draw(rng, -margin, CLIPS), metric).p_above(-margin) <= ALPHA, seed=2)
    assert 0.02 < rate <= BOUND


@pytest.mark.slow
def test_the_gates_own_verdicts_keep_the_promise() -> None:
    """Rules and decision together: an equal model is not promoted, nor a better one that hurts a guardrail."""

    def verdict(rng: np.random.Generator, gain: float, similarity: float) -> str:
        paired = {
            "wer": Paired(WER, word_errors(rng, gain, CLIPS), ROWS),
            "secs": Paired(SECS, similarities(rng, similarity, CLIPS), ROWS),
        }
        return decision(tuple(compared(paired, POLICY)))

    assert _rate(lambda rng: verdict(rng, 0.0, 0.1) == "promote", seed=3) <= BOUND
    assert _rate(lambda rng: verdict(rng, 0.15, -0.02) == "promote", seed=4) <= BOUND
    assert _rate(lambda rng: verdict(rng, 0.15, 0.1) == "promote", seed=5, trials=200) > 0.9


def test_champion_and_challenger_swapped_change_the_verdict() -> None:
    """Whatever is drawn: never better both ways, the gain turns its sign, and its bounds change places."""
    rng = np.random.default_rng(6)
    for gain in np.linspace(-0.05, 0.05, 200):
        table = word_errors(rng, float(gain), CLIPS)
        there, back = _compared(table, WER), _compared(table[:, [2, 3, 0, 1]], WER)
        assert back.gain == pytest.approx(-there.gain)
        assert back.low(ALPHA) == pytest.approx(-there.high(ALPHA), abs=1e-9)
        assert not (there.p_above(0.0) <= ALPHA and back.p_above(0.0) <= ALPHA)
        assert (there.p_above(0.0) <= ALPHA) == (back.p_below(0.0) <= ALPHA)


def test_bounds_and_p_values_say_the_same() -> None:
    rng = np.random.default_rng(7)
    for _ in range(200):
        found = _compared(word_errors(rng, 0.02, CLIPS), WER)
        for limit in (-0.03, 0.0, 0.02):
            assert (found.p_above(limit) <= ALPHA) == (found.low(ALPHA) >= limit - 1e-12)
            assert (found.p_below(limit) <= ALPHA) == (found.high(ALPHA) <= limit + 1e-12)


@pytest.mark.parametrize(("draw", "metric"), [(word_errors, WER), (similarities, SECS)])
def test_the_power_line_tells_the_truth(draw: Any, metric: Metric) -> None:
    """Draw as many clips as it says are needed: the difference is then seen in about 80 of 100 trials."""
    rng = np.random.default_rng(8)
    asked = 0.03
    spread = float(np.mean([_compared(draw(rng, asked, 400), metric).spread for _ in range(20)]))
    clips = needed(spread, asked, ALPHA, 0.8)
    assert visible(spread, clips, ALPHA, 0.8) == pytest.approx(asked, rel=0.05)
    seen = _rate(lambda rng: _compared(draw(rng, asked, clips), metric).p_above(0.0) <= ALPHA, seed=9, trials=600)
    assert 0.75 < seen < 0.86


@pytest.mark.slow
def test_holms_correction_keeps_the_risk_of_any_wrong_statement() -> None:
    def any_wrong(rng: np.random.Generator) -> bool:
        tables = [similarities(rng, -0.02, 40) for _ in range(5)]
        return min(holm([_compared(table, SECS).p_above(-0.02) for table in tables])) <= ALPHA

    trials = 400
    rate = _rate(any_wrong, seed=10, trials=trials)
    assert rate <= ALPHA + NormalDist().inv_cdf(0.999) * (ALPHA * (1 - ALPHA) / trials) ** 0.5


def test_the_power_line_in_words() -> None:
    # z(0.95) + z(0.8) = 2.486; 2.486 * 0.0837 / sqrt(120) = 0.019; (2.486 * 0.0837 / 0.01)^2 = 433.
    line = power_line(0.0837, 120, 0.01, 0.05, 0.8)
    assert line.text == (
        "120 clips can see a difference of 0.019 at 80% power; you asked for 0.01: about 440 are needed."
    )
    assert line.needed == 434
    assert power_line(0.0837, 500, 0.01, 0.05, 0.8, unit="s").text.endswith("you asked for 0.01 s: they are enough.")


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_clips_that_say_nothing_of_the_spread_bound_nothing() -> None:
    """One clip of a hundred got worse: whether that is 1 % or 3 % of all clips, a hundred clips cannot tell."""
    ones = np.ones(100)
    table = np.stack([np.r_[1.0, np.zeros(99)], ones, np.zeros(100), ones], axis=1)
    found = _compared(table, WER)
    assert found.gain == -0.01
    assert found.low(ALPHA) == -np.inf
    assert found.p_above(-0.02) > 0.3
    same = _compared(np.stack([ones, ones, ones, ones], axis=1), WER)
    assert (same.gain, same.error, same.p_above(0.0), same.low(ALPHA)) == (0.0, 0.0, 1.0, 0.0)
    assert same.p_above(-0.01) < ALPHA
    assert compare(table[:7], higher_is_better=True, seed=0, rounds=200) is None
