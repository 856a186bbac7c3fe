"""The speaker vector: a transformer over the latent frames, averaged over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubflow.speech.codecs.facodec.config import FacodecConfig


class Positions(nn.Module):
    """The stored table of positions. Key: ``pe [positions, 1, C]``.

    The published network picks the row by the number of an item *in its batch*, not by time, and was only ever used
    with one item: every frame gets row 0. Row 0 for everybody is therefore what the weights expect, and it makes the
    speaker vector independent of the place in a batch.
    """

    pe: Tensor

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        angles = torch.arange(positions)[:, None] * 10_000.0 ** (-torch.arange(0, width, 2) / width)
        self.register_buffer("pe", torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(positions, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, C]`` to ``[B, T, C]``."""
        return x + self.pe[0]


class SelfAttention(nn.Module):
    """Keys: ``in_proj_weight [3 C, C]``, ``in_proj_bias [3 C]``, ``out_proj.weight``, ``out_proj.bias``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(3 * width, width)))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, C]`` to ``[B, T, C]``; memory grows with T, not with its square."""
        batch, frames, width = x.shape
        mixed = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = mixed.view(batch, frames, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        heard = F.scaled_dot_product_attention(query, key, value)
        result: Tensor = self.out_proj(heard.transpose(1, 2).reshape(batch, frames, width))
        return result


class FeedForward(nn.Module):
    """A convolution over time, ReLU, a linear map. Keys: ``ffn_1 [hidden, C, kernel]``, ``ffn_2 [C, hidden]``."""

    def __init__(self, width: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.ffn_1 = nn.Conv1d(width, hidden, kernel, padding=kernel // 2)
        self.ffn_2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, C]`` to ``[B, T, C]``."""
        result: Tensor = self.ffn_2(self.ffn_1(x.transpose(1, 2)).relu().transpose(1, 2))
        return result


class TimbreLayer(nn.Module):
    """Attention and feed-forward part, each behind a norm. Keys: ``ln_1``, ``self_attn``, ``ln_2``, ``ffn``."""

    def __init__(self, config: FacodecConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.latent_dim)
        self.self_attn = SelfAttention(config.latent_dim, config.timbre_heads)
        self.ln_2 = nn.LayerNorm(config.latent_dim)
        self.ffn = FeedForward(config.latent_dim, config.timbre_filter, config.timbre_kernel)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, C]`` to ``[B, T, C]``."""
        x = x + self.self_attn(self.ln_1(x))
        result: Tensor = x + self.ffn(self.ln_2(x))
        return result


class TimbreEncoder(nn.Module):
    """Keys: ``position_emb``, ``layers``, ``last_ln``.

    Inference only: the published training drops 10 % of the activations here, this network drops none.
    """

    def __init__(self, config: FacodecConfig) -> None:
        super().__init__()
        self.position_emb = Positions(config.positions, config.latent_dim)
        self.layers = nn.Sequential(*(TimbreLayer(config) for _ in range(config.timbre_layers)))
        self.last_ln = nn.LayerNorm(config.latent_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Latents ``[B, T, C]`` without padding to speaker vectors ``[B, C]``."""
        result: Tensor = self.last_ln(self.layers(self.position_emb(x))).mean(dim=1)
        return result
