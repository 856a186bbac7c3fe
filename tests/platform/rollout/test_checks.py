"""Looks: what must be shown is shown, what nobody knows holds, and patience does not promote."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.platform.rollout import checks
from dubflow.platform.rollout.checks import Check, Requests
from dubflow.platform.rollout.policy import RolloutPolicy
from rollouts import contest, pairs

POLICY = RolloutPolicy(rounds=500)


def requests(failed: float, of: float, seconds: float = 1.0, minutes: int = 10, seed: int = 0) -> Requests:
    """``seconds`` of a dub, give or take a tenth from minute to minute."""
    paces = np.random.default_rng(seed).uniform(0.9 * seconds, 1.1 * seconds, minutes)
    told = tuple((60.0 * one, of / minutes, of / minutes * pace) for one, pace in enumerate(paces))
    return Requests(served=of - failed, failed=failed, minutes=told)


def test_equal_systems_pass_and_a_much_worse_one_fails() -> None:
    for worse, expected in ((0.0, "pass"), (0.4, "fail"), (-0.1, "pass")):
        assert checks.quality(pairs(24, worse=worse), POLICY, 1).outcome == expected


def test_what_a_few_dubs_cannot_tell_holds() -> None:
    assert checks.quality(pairs(4), POLICY, 1).outcome == "hold"
    assert checks.quality([], POLICY, 1).outcome == "hold"
    found = checks.quality(pairs(10, worse=0.09, seed=3), POLICY, 1)
    assert found.outcome == "hold"
    assert found.figures["p_not_worse"] > found.figures["alpha"]


def test_a_slow_candidate_fails_and_equal_times_pass() -> None:
    assert checks.speed(pairs(24), POLICY, 1).outcome == "pass"
    assert checks.speed(pairs(24, slower=1.2), POLICY, 1).outcome == "pass"
    assert checks.speed(pairs(24, slower=2.0), POLICY, 1).outcome == "fail"


def test_dubs_that_only_the_candidate_fails_send_it_back_and_those_of_both_hold() -> None:
    made = pairs(12)
    assert checks.answering(made).outcome == "pass"
    own = [*made[1:], made[0].__class__(**{**vars(made[0]), "candidate_failed": "serving.inference_failed"})]
    assert checks.answering(own).outcome == "fail"
    assert "serving.inference_failed" in checks.answering(own).reason
    both = [*made[1:], made[0].__class__(**{**vars(made[0]), "candidate_failed": "x", "champion_failed": "x"})]
    assert checks.answering(both).outcome == "hold"
    assert checks.answering([]).outcome == "hold"


def test_failed_dubs_count_as_said_all_wrong() -> None:
    made = pairs(24)
    broken = [one.__class__(**{**vars(one), "candidate_failed": "x", "candidate_errors": 0}) for one in made[:12]]
    assert checks.quality([*broken, *made[12:]], POLICY, 1).outcome == "fail"


@pytest.mark.parametrize(
    ("candidate", "champion", "expected"),
    [
        (requests(0, 1000), requests(0, 9000), "pass"),
        (requests(2, 1000), requests(18, 9000), "pass"),
        (requests(100, 1000), requests(9, 9000), "fail"),
        (requests(3, 250), requests(0, 9000), "hold"),  # 1.2 %: it may be chance, it may be not
        (requests(0, 199), requests(0, 9000), "hold"),  # too few, however fine
        (requests(0, 1000), requests(0, 10), "hold"),
        (None, requests(0, 9000), "hold"),
        (requests(0, 1000), None, "hold"),
        (Requests(served=None, failed=0), requests(0, 9000), "hold"),
        (Requests(served=900, failed=None), requests(0, 9000), "hold"),
        (Requests(served=math.nan, failed=math.inf), requests(0, 9000), "hold"),
    ],
)
def test_errors_are_shown_to_be_no_more_and_missing_figures_hold(
    candidate: Requests | None, champion: Requests | None, expected: str
) -> None:
    assert checks.errors(candidate, champion, POLICY, 1).outcome == expected


def test_slow_answers() -> None:
    base = requests(0, 1000, seed=1)
    assert checks.latency(requests(0, 300, seed=2), base, POLICY, 1).outcome == "pass"
    assert checks.latency(requests(0, 300, seconds=2.0), base, POLICY, 1).outcome == "fail"
    assert checks.latency(requests(0, 300, seconds=1.3, seed=2), base, POLICY, 1).outcome == "hold"
    assert checks.latency(requests(0, 300, minutes=5), base, POLICY, 1).outcome == "hold", "five minutes say little"
    for missing in (None, Requests(served=1000, failed=0), Requests(1000, 0, ((5.0, 9.0, 9.0),))):
        assert checks.latency(missing, base, POLICY, 1).outcome == "hold"
        assert checks.latency(base, missing, POLICY, 1).outcome == "hold"


def test_newcombe_is_as_published() -> None:
    # Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339 at two-sided 95 %.
    low, high = checks.difference((56, 70), (48, 80), 0.025)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)
    # Example (h): 10/10 against 0/10: 0.6075 to 1.0000.
    low, high = checks.difference((10, 10), (0, 10), 0.025)
    assert (round(low, 4), round(high, 4)) == (0.6075, 1.0)


@given(
    st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0.001, 0.2),
)
@settings(deadline=None)
def test_bounds_hold_the_difference_and_turn_with_it(ours: tuple[int, int], theirs: tuple[int, int], a: float) -> None:
    low, high = checks.difference(ours, theirs, a)
    assert -1 - 1e-9 <= low <= ours[0] / ours[1] - theirs[0] / theirs[1] <= high <= 1 + 1e-9
    back = checks.difference(theirs, ours, a)
    assert back == pytest.approx((-high, -low))


def test_a_candidate_that_fails_more_often_is_promoted_as_rarely_as_promised() -> None:
    """True rise exactly at the margin: it may pass in no more than alpha of the looks."""
    rng, policy = np.random.default_rng(0), POLICY
    passed = sum(
        checks.errors(requests(rng.binomial(2000, 0.03), 2000), requests(rng.binomial(8000, 0.02), 8000), policy, 1)
        .outcome == "pass" for _ in range(600)
    )  # fmt: skip
    assert passed / 600 < policy.alpha_of(1) + 3 * math.sqrt(policy.alpha_of(1) / 600)


def test_a_candidate_that_is_worse_by_the_margin_passes_as_rarely_as_promised() -> None:
    runs = 300
    passed = sum(checks.quality(pairs(24, worse=0.1, seed=seed), POLICY, 1).outcome == "pass" for seed in range(runs))
    assert passed / runs < POLICY.alpha_of(1) + 3 * math.sqrt(POLICY.alpha_of(1) / runs)
    equal = sum(checks.quality(pairs(24, seed=seed), POLICY, 1).outcome == "pass" for seed in range(20))
    assert equal == 20


def test_all_looks_together_err_by_no_more_than_alpha() -> None:
    spent = sum(POLICY.alpha_of(look) for look in range(1, 200_000))
    assert spent <= POLICY.alpha
    assert spent == pytest.approx(POLICY.alpha, rel=1e-4)


def test_one_outcome_of_several() -> None:
    def of(*outcomes: str) -> str:
        return checks.outcome_of(
            [Check.model_validate({"name": "x", "outcome": one, "reason": "r"}) for one in outcomes]
        )

    assert of("pass", "not_asked") == "pass"
    assert of("pass", "hold") == "hold"
    assert of("hold", "fail", "pass") == "fail"
    assert of() == of("not_asked") == "hold"


@pytest.mark.parametrize("wrong", [{"stages": (50, 10)}, {"stages": (0, 50)}, {"dubs": (1,)}, {"stages": (10, 100)}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"stages|dubs"):
        contest(policy=wrong)
