"""First weights: what goes through them keeps its size, and a silent end says nothing yet can learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dubflow.incontext.pretraining.initial import begin_silently, keep_variance


@pytest.mark.parametrize("channels", [8, 64])
def test_a_convolution_varies_as_its_input_does(channels: int) -> None:
    network = nn.Sequential(nn.Conv3d(channels, channels, 3), nn.Conv3d(channels, channels, 3))
    keep_variance(network, 0)
    given = torch.randn(2, channels, 9, 16, 16, generator=torch.Generator().manual_seed(1))
    for layer in network:
        made = layer(given)
        assert made.std().item() == pytest.approx(given.std().item(), rel=0.25)
        given = made


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_state() -> None:
    networks = [nn.Conv2d(4, 4, 3) for _ in range(2)]
    before = torch.get_rng_state()
    for network in networks:
        keep_variance(network, 5)
    assert torch.equal(networks[0].weight, networks[1].weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_silent_end_says_nothing_and_learns_at_once() -> None:
    network = nn.Sequential(nn.Conv3d(4, 8, 3, padding=1), nn.Conv3d(8, 3, 3, padding=1))
    keep_variance(network, 0)
    begin_silently(network[1])
    made = network(torch.randn(1, 4, 3, 8, 8))
    assert not made.any()
    (made - 1).square().mean().backward()
    last, first = network[1].weight.grad, network[0].weight.grad
    assert last is not None
    assert first is not None
    assert last.abs().sum() > 0
    assert not first.any()  # what comes before moves once the end has begun to speak
