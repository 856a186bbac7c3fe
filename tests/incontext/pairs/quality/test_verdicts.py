"""From figures to reasons: limits, the worst share of a run, and what cannot be measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.incontext.pairs.quality.figures import FIGURES
from dubflow.incontext.pairs.quality.settings import Limit, QualitySettings
from dubflow.incontext.pairs.quality.verdicts import bounds_of, reason_of, verdicts


def _settings(limits: dict[str, dict[str, float]], **more: object) -> QualitySettings:
    return QualitySettings.model_validate({"limits": limits, "least_pairs": 4} | more)


def test_bounds_refuse_what_lies_beyond() -> None:
    both = _settings({"words_target": {"bound": 0.5}, "lmd": {"bound": 0.01}})
    told = verdicts(
        [
            {"words_target": 0.5, "lmd": 0.01},
            {"words_target": 0.51, "lmd": 0.02},
            {"words_target": 0.2, "lmd": 0.004},
            {"words_target": 2.0, "lmd": 0.0},
        ],
        both,
    )
    assert told == [
        (),
        ("wrong_words: words_target 0.51 is above 0.5",),
        ("same_lips: lmd 0.004 is below 0.01",),
        ("wrong_words: words_target 2 is above 0.5", "same_lips: lmd 0 is below 0.01"),
    ]
    assert [reason_of(one) for one in told[3]] == ["wrong_words", "same_lips"]


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=60), st.floats(0.02, 0.9), st.sampled_from(["qd", "words_target"])
)
@settings(deadline=None, max_examples=60)
def test_a_share_of_a_run_is_refused_and_never_its_best(values: list[float], share: float, name: str) -> None:
    told = verdicts([{name: value} for value in values], _settings({name: {"worst_share": share}}))
    refused = [value for value, reasons in zip(values, told, strict=True) if reasons]
    kept = [value for value, reasons in zip(values, told, strict=True) if not reasons]
    assert kept
    # Of n values no more than share (n - 1) + 1 lie beyond a quantile that is one of them; of different ones no fewer.
    most = math.floor(share * (len(values) - 1)) + 1
    assert len(refused) <= most
    if len(set(values)) == len(values):
        assert len(refused) >= math.floor(share * (len(values) - 1))
    if refused:
        assert max(refused) < min(kept) if FIGURES[name].better == "higher" else min(refused) > max(kept)


def test_equal_values_all_pass() -> None:
    assert verdicts([{"qd": 0.3}] * 10, _settings({"qd": {"worst_share": 0.5}})) == [()] * 10


def test_of_few_pairs_the_worst_need_not_be_bad() -> None:
    limits = _settings({"qd": {"worst_share": 0.5}})
    values = [{"qd": value} for value in (0.1, 0.2, 0.3)]
    assert bounds_of(values, limits) == {}
    assert verdicts(values, limits) == [()] * 3
    assert bounds_of([*values, {"qd": 0.4}], limits) == {"qd": 0.3}


def test_the_stricter_of_bound_and_share_counts() -> None:
    values = [{"lmd": value / 10} for value in range(11)]
    for bound, wanted in ((0.1, 0.5), (0.9, 0.9)):
        assert bounds_of(values, _settings({"lmd": {"bound": bound, "worst_share": 0.5}})) == {"lmd": wanted}
    errors = [{"words_target": value / 10} for value in range(11)]
    for bound, wanted in ((0.9, 0.5), (0.1, 0.1)):
        limits = _settings({"words_target": {"bound": bound, "worst_share": 0.5}})
        assert bounds_of(errors, limits) == {"words_target": pytest.approx(wanted)}


def test_what_is_not_measured() -> None:
    limits = {"lmd": {"bound": 0.01}, "words_target": {"bound": 0.5}, "face_found": {"bound": 0.5}}
    found = [{"words_target": 0.1, "face_found": 0.9}, {"words_target": 0.1, "face_found": 0.0}, {}]
    assert verdicts(found, _settings(limits)) == [
        ("unmeasured: lmd",),
        # Without a face there are no lips: one reason says it.
        ("no_face: face_found 0 is below 0.5",),
        ("unmeasured: words_target", "unmeasured: face_found", "unmeasured: lmd"),
    ]
    assert verdicts(found, _settings(limits, unmeasured=False))[::2] == [(), ()]


def test_a_verdict_hangs_on_the_run_and_not_on_its_order() -> None:
    rng = np.random.default_rng(0)
    found = [{"qd": float(value), "lmd": float(value) ** 2} for value in rng.random(40)]
    limits = _settings({"qd": {"worst_share": 0.2}, "lmd": {"worst_share": 0.1}})
    order = rng.permutation(40)
    shuffled = verdicts([found[place] for place in order], limits)
    told = verdicts(found, limits)
    assert [told[place] for place in order] == shuffled


def test_every_reason_is_known_and_every_need_a_figure() -> None:
    for name, figure in FIGURES.items():
        assert figure.name == name
        assert figure.needs is None or figure.needs in FIGURES


@pytest.mark.parametrize(
    "content",
    [
        {"limits": {"beauty": {"bound": 1.0}}},
        {"limits": {"lmd": {}}},
        {"limits": {"lmd": {"worst_share": 1.0}}},
        {"limits": {"lmd": {"bound": 1.0, "colour": 2}}},
        {"least_pairs": 0},
    ],
)
def test_settings_that_say_nothing(content: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QualitySettings.model_validate(content)


def test_the_defaults_take_the_worst_of_a_run_and_what_nobody_wants() -> None:
    limits = QualitySettings.model_validate({}).limits
    assert limits["words_margin"] == Limit(bound=0.0)
    assert limits["face_found"] == Limit(bound=0.5)
    assert all(limit.bound is None for name, limit in limits.items() if name not in ("words_margin", "face_found"))
