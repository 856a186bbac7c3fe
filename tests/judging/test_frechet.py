from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.frechet import Gaussian, fit_gaussian, frechet_distance, frechet_of_gaussians


def test_known_values() -> None:
    """Gaussians whose distance has a closed form."""
    one, same = (Gaussian(np.zeros(3), np.eye(3), 100) for _ in range(2))
    assert frechet_of_gaussians(one, same) == pytest.approx(0, abs=1e-12)
    moved = Gaussian(np.array([3.0, 4.0, 0.0]), np.eye(3), 100)
    assert frechet_of_gaussians(one, moved) == pytest.approx(25)
    first, second = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 16.0])
    spread = frechet_of_gaussians(Gaussian(np.zeros(3), np.diag(first), 9), Gaussian(np.zeros(3), np.diag(second), 9))
    assert spread == pytest.approx(np.square(np.sqrt(first) - np.sqrt(second)).sum())


def test_against_the_matrix_square_root() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12)), rng.normal(0.3, 1, size=(300, 12))
    one, other = np.cov(first.T), np.cov(second.T)
    root = linalg.sqrtm(one @ other).real
    expected = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(one + other - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 12), st.integers(1, 20))
@settings(deadline=None, max_examples=80)
def test_laws(seed: int, n: int, m: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(n, width)), rng.normal(0.5, 2, size=(m, width))
    found = frechet_distance(first, second)
    assert found >= 0
    assert frechet_distance(second, first) == pytest.approx(found, rel=1e-9, abs=1e-9)
    assert frechet_distance(first, rng.permutation(first)) == pytest.approx(0, abs=1e-9)
    # Also with fewer samples than numbers, where the usual root is of a singular matrix.
    stored = frechet_of_gaussians(fit_gaussian(first), fit_gaussian(second))
    assert stored == pytest.approx(found, rel=1e-5, abs=1e-5)
    turn, _ = np.linalg.qr(rng.normal(size=(width, width)))
    assert frechet_distance(first @ turn + 5, second @ turn + 5) == pytest.approx(found, rel=1e-6, abs=1e-6)
    assert frechet_distance(3 * first, 3 * second) == pytest.approx(9 * found, rel=1e-6, abs=1e-6)


def test_grows_with_noise_and_shift() -> None:
    rng = np.random.default_rng(1)
    features, noise = rng.normal(size=(200, 16)), rng.normal(size=(200, 16))
    for changed in (lambda gain: features + gain * noise, lambda gain: features + gain):
        distances = [frechet_distance(features, changed(gain)) for gain in (0, 0.2, 0.6, 2)]
        assert distances == sorted(distances)
        assert distances[0] < distances[1]


def test_huge_and_tiny_features_stay_finite() -> None:
    rng = np.random.default_rng(2)
    for scale in (1e-8, 1e8):
        features = scale * rng.normal(size=(5, 300))
        found = frechet_distance(features, features + scale)
        assert np.isfinite(found)
        assert found == pytest.approx(300 * scale**2, rel=1e-6)


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        ((np.zeros((1, 3)), np.zeros((2, 3))), "judging.too_few"),
        ((np.zeros((2, 3)), np.zeros((2, 4))), "judging.bad_features"),
        ((np.zeros(3), np.zeros((2, 3))), "judging.bad_features"),
        ((np.zeros((2, 3)), np.full((2, 3), np.nan)), "judging.not_finite"),
    ],
)
def test_what_cannot_be_judged(pair: tuple[np.ndarray, np.ndarray], code: str) -> None:
    with pytest.raises(BadInput) as caught:
        frechet_distance(*pair)
    assert caught.value.code == code


def test_stored_statistics_must_agree() -> None:
    for mean, covariance, count in (
        (np.zeros(3), np.eye(2), 5),
        (np.zeros(3), np.eye(3), 1),
        (np.zeros((3, 1)), np.eye(3), 5),
    ):
        with pytest.raises(BadInput) as caught:
            Gaussian(mean, covariance, count)
        assert caught.value.code == "judging.bad_features"
    with pytest.raises(BadInput):
        frechet_of_gaussians(Gaussian(np.zeros(2), np.eye(2), 5), Gaussian(np.zeros(3), np.eye(3), 5))
