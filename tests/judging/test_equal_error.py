from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.equal_error import equal_error, equal_error_of_table


def test_known_values() -> None:
    assert equal_error([0.8, 0.9], [0.1, 0.2]).rate == 0
    assert 0.2 < equal_error([0.8, 0.9], [0.1, 0.2]).threshold <= 0.8
    assert equal_error([0.1, 0.2], [0.8, 0.9]).rate == 1
    one_of_four = equal_error([0.9, 0.8, 0.7, 0.3], [0.1, 0.2, 0.25, 0.6])
    assert one_of_four.rate == pytest.approx(0.25)
    assert 0.3 <= one_of_four.threshold <= 0.6 + 1e-9


def test_two_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    found = equal_error(rng.normal(2, 1, 40_000), rng.normal(0, 1, 60_000))
    assert found.rate == pytest.approx(0.1587, abs=0.004)  # one deviation to either side
    assert found.threshold == pytest.approx(1, abs=0.02)
    assert (found.same, found.different) == (40_000, 60_000)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.floats(0.1, 5))
@settings(deadline=None, max_examples=60)
def test_laws(seed: int, same: int, different: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    alike, unlike = rng.normal(0.5, 1, same), rng.normal(0, 1, different)
    found = equal_error(alike, unlike)
    assert 0 <= found.rate <= 1
    assert equal_error(scale * alike + 3, scale * unlike + 3).rate == pytest.approx(found.rate)
    assert equal_error(-unlike, -alike).rate == pytest.approx(found.rate, abs=1 / min(same, different))
    assert equal_error(alike + 100, unlike).rate == 0


def test_pairs_of_a_table() -> None:
    scores = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])
    found = equal_error_of_table(scores, ["a", "a", "b"])
    assert (found.rate, found.same, found.different) == (0, 1, 2)
    with pytest.raises(BadInput) as caught:
        equal_error_of_table(scores, ["a", "b"])
    assert caught.value.code == "judging.bad_vectors"


@pytest.mark.parametrize(
    ("same", "different", "code"),
    [([], [1.0], "judging.nothing_to_judge"), ([1.0], [float("nan")], "judging.not_finite")],
)
def test_what_is_refused(same: list[float], different: list[float], code: str) -> None:
    with pytest.raises(BadInput) as caught:
        equal_error(same, different)
    assert caught.value.code == code
