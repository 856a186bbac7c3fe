"""The periodic activation between two resampling filters, so that it makes no aliases.

Source: Lee et al., "BigVGAN" (2023), section 3.2 (SnakeBeta: ``x + sin^2(alpha x) / beta``), and Karras et al.,
"Alias-Free Generative Adversarial Networks" (2021), section 3.2, for filtering around a point-wise function.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TAPS = 12
HALF = TAPS // 2
_NEVER_ZERO = 1e-9


class SnakeBeta(nn.Module):
    """Keys: ``alpha [C]`` and ``beta [C]``, both logarithms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to ``[B, C, T]``."""
        frequency = self.alpha.exp()[:, None]
        magnitude = (self.beta.exp() + _NEVER_ZERO).reciprocal()[:, None]
        # In place on the one temporary: these tensors are large, and fresh memory costs more than the sine.
        return torch.addcmul(x, (x * frequency).sin_().square_(), magnitude)


class Upsampling(nn.Module):
    """Twice as many samples, apart as even and odd ones. Key: ``filter [1, 1, 12]``."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", half_band_filter())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, C, T]`` to the even and the odd samples ``[B, C, T]``; the ends are continued by their own value.

        The zeros that stand between the samples before filtering meet every second tap, so each half of the output
        needs the other half of the taps. The factor 2 makes up for those zeros.
        """
        taps = 2 * self.filter.flip(-1)
        padded = F.pad(x, (HALF // 2, HALF // 2), mode="replicate")
        return _depthwise(padded[..., :-1], taps[..., ::2]), _depthwise(padded[..., 1:], taps[..., 1::2])


class Lowpass(nn.Module):
    """Half as many samples, of the band that half as many can carry. Key: ``filter [1, 1, 12]``."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", half_band_filter())

    def forward(self, even: Tensor, odd: Tensor) -> Tensor:
        """Even and odd samples ``[B, C, T]`` to ``[B, C, T]``; the ends are continued by their own value."""
        first, last = even[..., :1], odd[..., -1:]
        even, odd = _continued(first, even, last, HALF // 2 - 1), _continued(first, odd, last, HALF // 2)
        return _depthwise(even, self.filter[..., 1::2]) + _depthwise(odd, self.filter[..., ::2])


class Downsampling(nn.Module):
    """Key: ``lowpass.filter``."""

    def __init__(self) -> None:
        super().__init__()
        self.lowpass = Lowpass()

    def forward(self, even: Tensor, odd: Tensor) -> Tensor:
        """Even and odd samples ``[B, C, T]`` to ``[B, C, T]``."""
        result: Tensor = self.lowpass(even, odd)
        return result


class Activation(nn.Module):
    """SnakeBeta at twice the sample rate; keeps the length. Keys: ``act``, ``upsample``, ``downsample``.

    The doubled signal is never laid out: its even and odd samples stay apart, which saves half of the memory traffic.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.act = SnakeBeta(channels)
        self.upsample = Upsampling()
        self.downsample = Downsampling()

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to ``[B, C, T]`` for every T from 1."""
        even, odd = self.upsample(x)
        result: Tensor = self.downsample(self.act(even), self.act(odd))
        return result

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """First and last input position that the outputs ``first..last`` read: five to each side."""
        return first - (HALF - 1), last + (HALF - 1)


def half_band_filter() -> Tensor:
    """Kaiser-windowed sinc of 12 taps that halves the band; sums to one. ``[1, 1, 12]``.

    Source: Kaiser's formulas for the window, with a transition of 0.3 of the sample rate to each side of the cut-off.
    """
    attenuation = 2.285 * (HALF - 1) * pi * 4 * 0.3 + 7.95
    shape = 0.1102 * (attenuation - 8.7)  # Kaiser's case of more than 50 dB; it is 51.0 here
    window = torch.kaiser_window(TAPS, periodic=False, beta=shape)
    times = torch.arange(TAPS) - (TAPS - 1) / 2
    taps = window * torch.sinc(times / 2) / 2
    return (taps / taps.sum()).view(1, 1, TAPS)


def _depthwise(x: Tensor, taps: Tensor) -> Tensor:
    """``[B, C, T + n - 1]`` by the same taps ``[1, 1, n]`` in every channel to ``[B, C, T]``."""
    channels = x.shape[1]
    return F.conv1d(x, taps.expand(channels, 1, -1), groups=channels)


def _continued(first: Tensor, x: Tensor, last: Tensor, before: int) -> Tensor:
    """``x [B, C, T]`` with ``before`` copies of ``first`` ahead, and of ``last`` behind so many that five are added."""
    return torch.cat([first.expand(-1, -1, before), x, last.expand(-1, -1, HALF - 1 - before)], dim=-1)
