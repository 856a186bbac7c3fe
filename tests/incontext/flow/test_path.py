"""Rectified flow: ends, velocity, and the one conversion to the paper's time."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.incontext.flow.path import data_of, noised, to_paper_time, to_paper_velocity, velocity
from dubflow.incontext.flow.sampler import euler_step, guided, noise_like

LEVELS = st.floats(0.0, 1.0, width=32)


def pair(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    drawn = torch.randn(2, 3, 5, 4, generator=source, dtype=torch.float64)
    return drawn[0], drawn[1]


@settings(deadline=None)
@given(seed=st.integers(0, 99), sigma=LEVELS)
def test_the_papers_velocity_and_time_are_ltxs_run_backwards(seed: int, sigma: float) -> None:
    """Eq. 1 written as the paper writes it: x_t = (1 - t) noise + t data, velocity data - noise."""
    data, noise = pair(seed)
    level = torch.full((3,), sigma, dtype=torch.float64)
    t = to_paper_time(level)
    papers = (1 - t)[:, None, None] * noise + t[:, None, None] * data
    assert torch.allclose(papers, noised(data, noise, level), atol=1e-12)
    assert torch.equal(to_paper_velocity(velocity(data, noise)), data - noise)
    assert torch.equal(to_paper_velocity(to_paper_velocity(noise)), noise)
    assert torch.allclose(to_paper_time(to_paper_time(level)), level)
    # What both must mean: the derivative of the path by their own time.
    step = 1e-4
    ahead = noised(data, noise, (level + step).clamp(max=2))
    assert torch.allclose((ahead - noised(data, noise, level)) / step, velocity(data, noise), atol=1e-8)


@settings(deadline=None)
@given(seed=st.integers(0, 99), sigma=LEVELS)
def test_a_velocity_points_back_to_the_data_and_one_euler_step_goes_there(seed: int, sigma: float) -> None:
    data, noise = pair(seed)
    level = torch.full((3,), sigma, dtype=torch.float64)
    x = noised(data, noise, level)
    assert torch.allclose(data_of(x, velocity(data, noise), level), data, atol=1e-12)
    there = euler_step(x, velocity(data, noise), torch.tensor(sigma), torch.tensor(0.0))
    assert torch.allclose(there.double(), data, atol=1e-5)


def test_the_ends_are_data_and_noise_and_levels_may_differ_by_token() -> None:
    data, noise = pair(0)
    assert torch.equal(noised(data, noise, torch.zeros(3)), data)
    assert torch.equal(noised(data, noise, torch.ones(3)), noise)
    levels = torch.zeros(3, 5)
    levels[:, 2] = 1
    mixed = noised(data, noise, levels)
    assert torch.equal(mixed[:, 2], noise[:, 2])
    assert torch.equal(mixed[:, 3:], data[:, 3:])


def test_guidance_of_one_asks_for_what_is_asked() -> None:
    asked, avoided = pair(3)
    assert torch.allclose(guided(asked, avoided, 1.0), asked)
    assert torch.allclose(guided(asked, avoided, 3.0), asked + 2 * (asked - avoided))


def test_noise_belongs_to_its_item() -> None:
    like = torch.zeros(3, 4, 2)
    whole = noise_like([torch.Generator().manual_seed(seed) for seed in (1, 2, 3)], like)
    alone = noise_like([torch.Generator().manual_seed(2)], like[:1])
    assert torch.equal(whole[1:2], alone)
    assert whole.dtype == torch.float32
