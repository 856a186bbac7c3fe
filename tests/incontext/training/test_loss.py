"""The law of the masked loss."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.incontext.training.loss import dubbing_loss, mask_weights, masked_error


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), tokens=st.integers(1, 12), scale=st.floats(0.1, 50))
def test_it_is_the_mean_of_errors_times_weights_over_their_mean(seed: int, tokens: int, scale: float) -> None:
    one, other = drawn(seed, 2, tokens, 3), drawn(seed + 1, 2, tokens, 3)
    weights = drawn(seed + 2, 2, tokens).abs() + 0.01
    each = [
        ((one[i] - other[i]).float() ** 2 * (weights[i] / weights[i].mean())[:, None]).mean().item() for i in (0, 1)
    ]
    found = masked_error(one, other, weights)
    assert float(found) == pytest.approx(sum(each) / 2, rel=1e-5)
    assert float(masked_error(one, other, scale * weights)) == pytest.approx(float(found), rel=1e-6)


def test_a_face_error_weighs_ten_times_one_elsewhere() -> None:
    mask = torch.tensor([[[True, False], [False, False]]])
    weights = mask_weights(mask, 4)[None]
    zero = torch.zeros(1, 4, 2)
    inside, outside = zero.clone(), zero.clone()
    inside[0, 0] = outside[0, 3] = 1
    assert float(masked_error(inside, zero, weights) / masked_error(outside, zero, weights)) == pytest.approx(10)
    assert float(masked_error(zero + 1, zero, weights)) == pytest.approx(1), "all of the scene off by one is one"


def test_without_a_mask_all_weigh_alike() -> None:
    error = torch.arange(6.0).reshape(1, 6, 1)
    assert float(masked_error(error, 0 * error, mask_weights(None, 6)[None])) == pytest.approx(float((error**2).mean()))


def test_what_weighs_nothing_gets_no_gradient_and_alone_gives_zero() -> None:
    predicted = torch.ones(1, 3, 2, requires_grad=True)
    weights = torch.tensor([[0.0, 1.0, 0.1]])
    masked_error(predicted, torch.zeros(1, 3, 2), weights).backward()
    assert predicted.grad is not None
    assert not predicted.grad[0, 0].any()
    assert predicted.grad[0, 1].all()
    assert float(masked_error(predicted.detach(), torch.zeros(1, 3, 2), torch.zeros(1, 3))) == 0


def test_sound_counts_as_a_plain_mean_and_missing_masks_are_reported() -> None:
    video, audio = torch.full((1, 2, 3), 2.0), torch.full((1, 5, 4), 3.0)
    parts = dubbing_loss(video, audio, 0 * video, 0 * audio, torch.ones(1, 2), unmasked=1)
    assert {name: float(value) for name, value in parts.values.items()} == {"video": 4, "audio": 9}
    assert float(parts.total) == 13
    assert parts.counts == {"without_mask": 1}
