r"""From frames to tokens: learnable upsampling, and ConvNeXt V2 blocks over time.

DiFlowDubber, B.2.2; FaPro and Synchronizer each have one of both. Letters: B batch, F frames, L tokens, T either,
A width, C channels. Normalisations count an item's own positions only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dubflow.diflow.nets.grid import inside_of
from dubflow.diflow.nets.settings import TemporalSettings
from dubflow.speech.durations import FRAME_RATE, TOKEN_RATE, frames_to_tokens

_EPSILON = 1e-5


def tokens_of(frames: Tensor) -> Tensor:
    """Tokens of clips of ``frames`` ``[B]`` frames, ``ceil(16 F / 5)`` each."""
    return torch.tensor([frames_to_tokens(count) for count in frames.tolist()], device=frames.device)


def interpolate(sequence: Tensor, frames: Tensor, longest: int) -> Tensor:
    """Linear interpolation from frames to tokens, ``[B, F, A]`` to ``[B, longest, A]``.

    Token l is taken at the middle of its 1/80 s, on the scale where frame i stands for the middle of its 1/25 s; before
    the first and after the last middle the end frame holds. The ratio is the grids' own, 5 to 16, whatever the length.

    Args:
        sequence: ``[B, F, A]``.
        frames: lengths, integers ``[B]``.
        longest: L.
    """
    tokens = torch.arange(longest, device=sequence.device, dtype=torch.float64)
    places = (tokens + 0.5) * FRAME_RATE / TOKEN_RATE - 0.5
    places = torch.minimum(places.clamp(min=0), (frames - 1).unsqueeze(-1).double())
    before = places.floor().long()
    after = torch.minimum(before + 1, (frames - 1).unsqueeze(-1))
    share = (places - before).to(sequence.dtype).unsqueeze(-1)
    width = sequence.shape[-1]
    left = sequence.gather(1, before.unsqueeze(-1).expand(-1, -1, width))
    right = sequence.gather(1, after.unsqueeze(-1).expand(-1, -1, width))
    return torch.lerp(left, right, share)


class WholeNorm(nn.Module):
    """Group normalisation with one group, over all channels and an item's own positions; ``[B, T, C]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """``inside`` ``[B, T]``."""
        shown = inside.unsqueeze(-1)
        count = (shown.sum(dim=(1, 2), keepdim=True) * x.shape[-1]).clamp(min=1)
        values = x.float()
        mean = (values * shown).sum(dim=(1, 2), keepdim=True) / count
        spread = ((values - mean) ** 2 * shown).sum(dim=(1, 2), keepdim=True) / count
        normal = (values - mean) * torch.rsqrt(spread + _EPSILON)
        return (normal * self.weight + self.bias).to(x.dtype)


class Upsample(nn.Module):
    """Eq. 3's Upsample: linear interpolation, sets of convolution, normalisation and Mish, and a last convolution.

    ``[B, F, A]`` to ``[B, L, A]`` with ``L = ceil(16 F / 5)``.
    """

    def __init__(self, width: int, settings: TemporalSettings) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(settings.upsample_sets))
        self.norms = nn.ModuleList(WholeNorm(width) for _ in range(settings.upsample_sets))
        self.last = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, sequence: Tensor, frames: Tensor) -> Tensor:
        """``sequence`` ``[B, F, A]``, lengths ``frames`` ``[B]``; zero beyond each item's tokens."""
        tokens = tokens_of(frames)
        longest = int(tokens.max())
        inside = inside_of(tokens, longest)
        shown = inside.unsqueeze(-1)
        x = interpolate(sequence, frames, longest)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = functional.mish(norm(over_time(convolution, x * shown), inside))
        return over_time(self.last, x * shown) * shown


class ConvNextBlock(nn.Module):
    r"""A ConvNeXt V2 block over time with global response normalisation (Woo et al., Eq. 1 to 3); ``[B, T, A]``.

    .. math::
        G_c = \lVert x_{:,c} \rVert_2, \qquad N_c = G_c / \mathrm{mean}_c\, G_c, \qquad
        \mathrm{GRN}(x)_c = \gamma_c\, x_c N_c + \beta_c + x_c
    """

    def __init__(self, width: int, settings: TemporalSettings) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, settings.kernel, padding=settings.kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, settings.filter)
        self.gain = nn.Parameter(torch.zeros(settings.filter))
        self.shift = nn.Parameter(torch.zeros(settings.filter))
        self.narrow = nn.Linear(settings.filter, width)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """``inside`` ``[B, T]``; zero outside."""
        shown = inside.unsqueeze(-1)
        hidden = functional.gelu(self.widen(self.norm(over_time(self.depthwise, x * shown))))
        energy = torch.linalg.vector_norm(hidden.float() * shown, dim=1, keepdim=True)
        response = (energy / (energy.mean(dim=-1, keepdim=True) + 1e-6)).to(hidden.dtype)
        hidden = self.gain * (hidden * response) + self.shift + hidden
        refined: Tensor = (x + self.narrow(hidden)) * shown
        return refined


class ConvNextStack(nn.Module):
    """Blocks one after the other; ``[B, T, A]`` to ``[B, T, A]``."""

    def __init__(self, width: int, settings: TemporalSettings) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvNextBlock(width, settings) for _ in range(settings.blocks))

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """``inside`` ``[B, T]``."""
        for block in self.blocks:
            x = block(x, inside)
        return x


def over_time(convolution: nn.Module, x: Tensor) -> Tensor:
    """A 1-d convolution over the middle axis of ``[B, T, C]``."""
    convolved: Tensor = convolution(x.transpose(1, 2))
    return convolved.transpose(1, 2)
