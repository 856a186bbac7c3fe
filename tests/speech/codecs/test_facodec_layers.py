"""Laws of the layers: weight norm, resampling activation, lengths, and what part of the input an output reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dubflow.speech.codecs.facodec.activation import Activation, SnakeBeta, half_band_filter
from dubflow.speech.codecs.facodec.blocks import ResidualUnit, decoder_block, encoder_block
from dubflow.speech.codecs.facodec.config import HOP, FacodecConfig
from dubflow.speech.codecs.facodec.weightnorm import WeightNormed, convolution, fold_weights, linear, upsampling
from speech.codecs.facodec_published import kaiser_filter, random_network

TINY = FacodecConfig.tiny()


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """``module`` in double precision with random parameters."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, generator=generator)
    return module.double().requires_grad_(False)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (convolution(3, 5, 7, dilation=3), nn.Conv1d(3, 5, 7, dilation=3, padding=9)),
        (convolution(3, 6, 4, stride=2, padding=1), nn.Conv1d(3, 6, 4, stride=2, padding=1)),
        (upsampling(6, 3, 5), nn.ConvTranspose1d(6, 3, 10, stride=5, padding=3, output_padding=1)),
        (linear(20, 4), nn.Linear(20, 4)),
    ],
)
def test_weight_norm_is_torchs_own_under_the_old_names(ours: WeightNormed, theirs: nn.Module) -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        reference = filled(nn.utils.weight_norm(theirs))
    ours.double().load_state_dict(reference.state_dict(), strict=True)
    x = torch.randn(2, ours.weight_v.shape[0] if isinstance(theirs, nn.ConvTranspose1d) else ours.weight_v.shape[1], 20)
    torch.testing.assert_close(ours(x.double()), reference(x.double()))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(convolution(3, 5, 7), (2, 3, 9)), (upsampling(6, 3, 4), (2, 6, 9)), (linear(9, 4), (2, 5, 9))],
)
def test_folding_changes_neither_results_nor_names(layer: WeightNormed, shape: tuple[int, ...]) -> None:
    filled(layer)
    x = torch.randn(shape, dtype=torch.float64)
    before, names = layer(x), list(layer.state_dict())
    fold_weights(nn.Sequential(layer))
    assert layer.folded is not None
    torch.testing.assert_close(layer(x), before, rtol=1e-12, atol=1e-12)
    assert list(layer.state_dict()) == names


@given(rows=st.integers(1, 5), scale=st.floats(0.01, 100), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_the_length_of_a_row_is_g_whatever_the_length_of_v(rows: int, scale: float, seed: int) -> None:
    layer = convolution(4, rows, 3)
    filled(layer, seed)
    before = layer.weight()
    torch.testing.assert_close(before.flatten(1).norm(dim=1), layer.weight_g.flatten().abs())
    layer.weight_v.mul_(scale)
    torch.testing.assert_close(layer.weight(), before)


def test_the_filter_is_the_textbook_kaiser_sinc() -> None:
    taps = half_band_filter().flatten()
    torch.testing.assert_close(taps.double(), torch.from_numpy(kaiser_filter()), rtol=0, atol=2e-7)
    torch.testing.assert_close(taps, taps.flip(0))
    assert taps.sum() == pytest.approx(1, abs=1e-6)
    response = np.abs(np.fft.rfft(taps.numpy(), 4096))  # 0 to half of the doubled rate
    assert np.abs(response[:512] - 1).max() < 0.011  # the lower half of the original band goes through
    assert response[1024] == pytest.approx(0.5, abs=0.001)
    assert response[1536:].max() < 0.012  # what would be mirrored into it does not


def reference_activation(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The definition for ``[C, T]``: zeros between samples, filter, function, filter, every second sample."""
    out = []
    for row, a, b in zip(x, alpha, beta, strict=True):
        far = 12
        stuffed = np.zeros(2 * (len(row) + 2 * far))
        stuffed[::2] = np.pad(row, far, mode="edge")
        # The filter is even: its middle lies half a (doubled) sample before the sample that it makes.
        doubled = 2 * np.convolve(stuffed, taps)[2 * far + 5 : 2 * far + 5 + 2 * len(row)]
        bent = doubled + np.sin(np.exp(a) * doubled) ** 2 / np.exp(b)
        padded = np.concatenate([np.full(5, bent[0]), bent, np.full(6, bent[-1])])
        out.append(np.correlate(padded, taps)[::2])
    return np.array(out)


@pytest.mark.parametrize("length", [1, 2, 3, 11, 40])
def test_activation_follows_its_definition_and_keeps_the_length(length: int) -> None:
    layer = filled(Activation(3), seed=length)
    assert isinstance(layer, Activation)
    x = np.random.default_rng(length).normal(size=(3, length))
    expected = reference_activation(
        x, layer.act.alpha.numpy(), layer.act.beta.numpy(), layer.upsample.filter[0, 0].numpy()
    )
    torch.testing.assert_close(layer(torch.from_numpy(x)[None])[0], torch.from_numpy(expected))


@given(length=st.integers(1, 300))
@settings(deadline=None, max_examples=30)
def test_activation_keeps_every_length(length: int) -> None:
    assert Activation(2)(torch.randn(1, 2, length)).shape == (1, 2, length)


def test_a_constant_passes_the_filters_unchanged() -> None:
    layer = filled(Activation(2))
    assert isinstance(layer, Activation)
    value = torch.tensor([[[0.7], [-1.3]]], dtype=torch.float64)
    torch.testing.assert_close(layer(value.expand(1, 2, 30)), layer.act(value).expand(1, 2, 30), rtol=1e-6, atol=1e-6)


def test_snake_at_known_values() -> None:
    layer = SnakeBeta(1)
    with torch.no_grad():
        layer.alpha.fill_(np.log(2))
        layer.beta.fill_(np.log(4))
    x = torch.tensor([[[0.0, np.pi / 4, np.pi / 2, -np.pi / 4]]])
    torch.testing.assert_close(layer(x), x + torch.tensor([0.0, 0.25, 0.0, 0.25]))


def test_gradients_pass_through_the_activation() -> None:
    layer = Activation(2).double()
    x = torch.randn(1, 2, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


@pytest.mark.parametrize("stride", [2, 4, 5])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_blocks_scale_the_length_exactly(stride: int, frames: int) -> None:
    assert encoder_block(2, stride)(torch.randn(1, 2, frames * stride)).shape == (1, 4, frames)
    assert decoder_block(4, stride)(torch.randn(1, 4, frames)).shape == (1, 2, frames * stride)


@pytest.mark.parametrize(
    ("layer", "channels"),
    [
        (convolution(2, 3, 7, dilation=9), 2),
        (convolution(2, 4, 10, stride=5, padding=3), 2),
        (convolution(2, 4, 4, stride=2, padding=1), 2),
        (upsampling(4, 2, 5), 4),
        (upsampling(4, 2, 4), 4),
        (Activation(2), 2),
        (ResidualUnit(2, 3), 2),
        (encoder_block(2, 4), 2),
        (decoder_block(4, 5), 4),
    ],
)
def test_an_output_reads_its_sources_and_nothing_else(layer: nn.Module, channels: int) -> None:
    filled(layer)
    x = torch.randn(1, channels, 400, dtype=torch.float64)
    length = layer(x).shape[-1]
    for position in (length // 2, length // 2 + 1, length // 2 + 3):
        assert sources_by_gradient(layer, x, position) == layer.sources(position, position)


def sources_by_gradient(layer: nn.Module, x: torch.Tensor, position: int) -> tuple[int, int]:
    """First and last input position with a gradient from one output position."""
    x = x.clone().requires_grad_(True)
    layer(x)[..., position].sum().backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(0).nonzero()
    return int(touched[0]), int(touched[-1])


def test_the_halo_of_both_networks_is_exact() -> None:
    network = random_network(TINY, dtype=torch.float64)
    assert network.encoder.halo() == (26, 26)
    assert network.decoder.halo() == (28, 28)
    waveform = torch.randn(1, 80 * HOP, dtype=torch.float64, requires_grad=True)
    network.encoder(waveform)[0, 40].sum().backward()
    assert waveform.grad is not None
    heard = waveform.grad[0].nonzero()
    assert (int(heard[0]) // HOP, int(heard[-1]) // HOP) == (40 - 26, 40 + 26)
    latents = torch.randn(1, 80, TINY.latent_dim, dtype=torch.float64, requires_grad=True)
    network.decoder(latents, torch.randn(1, TINY.latent_dim).double())[0, 40 * HOP : 41 * HOP].sum().backward()
    assert latents.grad is not None
    seen = latents.grad[0].abs().sum(-1).nonzero()
    assert (int(seen[0]), int(seen[-1])) == (40 - 28, 40 + 28)
