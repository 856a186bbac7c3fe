r"""Diffusion Transformer blocks with rotary positions and adaptive layer normalisation.

DiFlowDubber, B.2.1, Denoiser Architecture, after Peebles and Xie. With shift, scale and gate (s, a, g) read from the
global condition c_g by ``Linear(SiLU(c_g))``,

.. math::
    x \leftarrow x + g_1 \odot \mathrm{Attention}(\mathrm{LN}(x) \odot (1 + a_1) + s_1), \qquad
    x \leftarrow x + g_2 \odot \mathrm{MLP}(\mathrm{LN}(x) \odot (1 + a_2) + s_2)

where LN has no weights of its own. The line starts at zero, so that each block starts as the identity.
Letters: B batch, T positions (R + L), D width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from dubflow.diflow.flow.schedule import flipped_time
from dubflow.diflow.nets.attention import SelfAttention
from dubflow.diflow.nets.positions import Rotation, sinusoid
from dubflow.diflow.nets.settings import DenoiserSettings


class AdaptiveNorm(nn.Module):
    """Layer normalisation without weights, and ``count`` vectors read from the global condition."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.width, self.count = width, count
        self.line = nn.Linear(width, count * width)
        nn.init.zeros_(self.line.weight)
        nn.init.zeros_(self.line.bias)

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        """``condition`` ``[B, D]``: ``count`` vectors ``[B, 1, D]``."""
        vectors: Tensor = self.line(functional.silu(condition))
        return vectors.unsqueeze(1).chunk(self.count, dim=-1)

    def modulate(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        """``LN(x) * (1 + scale) + shift`` for ``x`` ``[B, T, D]``."""
        return functional.layer_norm(x, (self.width,)) * (1 + scale) + shift


class DitBlock(nn.Module):
    """One block; ``[B, T, D]`` to ``[B, T, D]``."""

    def __init__(self, settings: DenoiserSettings) -> None:
        super().__init__()
        width = settings.width
        self.gelu = "tanh" if settings.gelu == "tanh" else "none"  # PyTorch's names
        self.adaptive = AdaptiveNorm(width, 6)
        self.attention = SelfAttention(width, settings.heads)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, settings.expansion * width),
            nn.GELU(approximate=self.gelu),
            nn.Linear(settings.expansion * width, width),
        )

    def forward(self, x: Tensor, condition: Tensor, inside: Tensor | None, rotation: Rotation) -> Tensor:
        """``condition`` ``[B, D]``; ``inside`` ``[B, T]`` or None when nothing is padding."""
        shift, scale, gate, late_shift, late_scale, late_gate = self.adaptive(condition)
        x = x + gate * self.attention(self.adaptive.modulate(x, shift, scale), inside, rotation)
        out: Tensor = x + late_gate * self.feed_forward(self.adaptive.modulate(x, late_shift, late_scale))
        return out


class TimeEmbedding(nn.Module):
    """The time step as a vector: sinusoids of 1000 t, then an MLP; ``[B]`` to ``[B, D]``."""

    def __init__(self, settings: DenoiserSettings) -> None:
        super().__init__()
        self.features, self.ends, self.flip = settings.time_features, settings.time_ends, settings.time_flip
        self.mlp = two_lines(settings.time_features, settings.width, settings.width)

    def forward(self, t: Tensor) -> Tensor:
        """``t`` ``[B]`` within 0..1."""
        label = flipped_time(t) if self.flip else t
        features = sinusoid(1000 * label, self.features, ends=self.ends)
        embedded: Tensor = self.mlp(features.to(next(self.mlp.parameters()).dtype))
        return embedded


def two_lines(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Linear, SiLU, Linear."""
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, outputs))
