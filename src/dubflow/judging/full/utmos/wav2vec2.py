"""wav2vec 2.0 "base" (Baevski, Zhou, Mohamed and Auli, 2020) without its heads, under the names of fairseq's weights.

Seven convolutions turn 16 kHz samples into 512 numbers every 20 ms; twelve transformer layers (768 wide, 12 heads,
normalised after each step) see all of them. The first convolution has no bias and is normalised channel by channel over
the whole recording, so its level does not count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INNER, WIDTH, FEED_FORWARD, HEADS, LAYERS = 512, 768, 3072, 12, 12
KERNELS = ((10, 5), *((3, 2),) * 4, *((2, 2),) * 2)
"""Size and step of each convolution: 400 samples for a first output, 320 for each more."""
POSITIONS = 128
GROUPS = 16
SHORTEST_SAMPLES = 400


class Wav2Vec2(nn.Module):
    """Samples to what is heard around each 20 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_extractor = FeatureEncoder()
        self.layer_norm = nn.LayerNorm(INNER)
        self.post_extract_proj = nn.Linear(INNER, WIDTH)
        self.encoder = ContextEncoder()

    def forward(self, waveform: Tensor) -> Tensor:
        """16 kHz samples ``[B, N]`` in -1..1 to ``[B, frames, 768]``, ``1 + (N - 400) // 320`` frames."""
        heard = self.feature_extractor(waveform[:, None]).transpose(1, 2)
        context: Tensor = self.encoder(self.post_extract_proj(self.layer_norm(heard)))
        return context


class FeatureEncoder(nn.Module):
    """The convolutions; each is ``0`` of its entry, the normalisation of the first is ``2``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList()
        for index, (kernel, step) in enumerate(KERNELS):
            entry: list[nn.Module] = [nn.Conv1d(INNER if index else 1, INNER, kernel, step, bias=False), nn.Identity()]
            entry += [nn.GELU()] if index else [nn.GroupNorm(INNER, INNER), nn.GELU()]
            self.conv_layers.append(nn.Sequential(*entry))

    def forward(self, waveform: Tensor) -> Tensor:
        """``[B, 1, N]`` to ``[B, 512, frames]``."""
        for layer in self.conv_layers:
            waveform = layer(waveform)
        return waveform


class ContextEncoder(nn.Module):
    """The transformer, which knows places from a convolution over 128 neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_conv = nn.Sequential(PositionalConvolution(), nn.GELU())
        self.layer_norm = nn.LayerNorm(WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, heard: Tensor) -> Tensor:
        """``[B, frames, 768]`` to the same."""
        heard = self.layer_norm(heard + self.pos_conv(heard.transpose(1, 2)).transpose(1, 2))
        for layer in self.layers:
            heard = layer(heard)
        return heard


class PositionalConvolution(nn.Module):
    """A grouped convolution whose weights are a direction ``weight_v`` and a length ``weight_g`` for each place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(1, 1, POSITIONS))
        self.weight_v = nn.Parameter(torch.randn(WIDTH, WIDTH // GROUPS, POSITIONS))
        self.bias = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, heard: Tensor) -> Tensor:
        """``[B, 768, frames]`` to the same; an even kernel gives one place more, which is dropped."""
        length = torch.linalg.vector_norm(self.weight_v, dim=(0, 1), keepdim=True)
        weight = self.weight_g * self.weight_v / length
        return F.conv1d(heard, weight, self.bias, padding=POSITIONS // 2, groups=GROUPS)[..., :-1]


class Layer(nn.Module):
    """Attention and feed-forward network, each added and then normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention()
        self.self_attn_layer_norm = nn.LayerNorm(WIDTH)
        self.fc1 = nn.Linear(WIDTH, FEED_FORWARD)
        self.fc2 = nn.Linear(FEED_FORWARD, WIDTH)
        self.final_layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, heard: Tensor) -> Tensor:
        """``[B, frames, 768]`` to the same."""
        heard = self.self_attn_layer_norm(heard + self.self_attn(heard))
        result: Tensor = self.final_layer_norm(heard + self.fc2(F.gelu(self.fc1(heard))))
        return result


class Attention(nn.Module):
    """Every frame attends to every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, heard: Tensor) -> Tensor:
        """``[B, frames, 768]`` to the same."""
        shape = (*heard.shape[:2], HEADS, WIDTH // HEADS)
        query, key, value = (
            project(heard).view(shape).transpose(1, 2) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        result: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(heard.shape))
        return result
