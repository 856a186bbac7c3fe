"""Feed-forward Transformer (FFT) blocks, and the predictor that reads one book after another.

DiFlowDubber, B.2.1 and 3.4.1, after FastSpeech: self-attention and two convolutions, each with a residual and a layer
normalisation after it. Letters: B batch, T positions, A channels, Q books.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dubflow.diflow.nets.attention import SelfAttention
from dubflow.diflow.nets.positions import with_positions
from dubflow.diflow.nets.settings import FftSettings


class FftBlock(nn.Module):
    """``y = LN(x + Attention(x))``, then ``LN(y + Conv(ReLU(Conv(y))))``; ``[B, T, A]`` to ``[B, T, A]``."""

    def __init__(self, width: int, settings: FftSettings) -> None:
        super().__init__()
        wide, narrow = settings.kernels
        self.attention = SelfAttention(width, settings.heads, settings.dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.widen = nn.Conv1d(width, settings.filter, wide, padding=wide // 2)
        self.narrow = nn.Conv1d(settings.filter, width, narrow, padding=narrow // 2)
        self.filter_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """``inside`` ``[B, T]``; the answer is zero outside."""
        shown = inside.unsqueeze(-1)
        x = self.attention_norm(x + self.dropout(self.attention(x, inside))) * shown
        hidden = torch.relu(self.widen(x.transpose(1, 2))) * shown.transpose(1, 2)
        x = self.filter_norm(x + self.dropout(self.narrow(hidden).transpose(1, 2)))
        return x * shown


class FftStack(nn.Module):
    """Positions, then FFT blocks one after the other; ``[B, T, A]`` to ``[B, T, A]``."""

    def __init__(self, width: int, blocks: int, settings: FftSettings) -> None:
        super().__init__()
        self.max_length = settings.max_length
        self.blocks = nn.ModuleList(FftBlock(width, settings) for _ in range(blocks))

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """``inside`` ``[B, T]``; the answer is zero outside."""
        x = with_positions(x, self.max_length) * inside.unsqueeze(-1)
        for block in self.blocks:
            x = block(x, inside)
        return x


class BookPredictor(nn.Module):
    r"""One representation a book, each from the one before (RVQ-iterative).

    DiFlowDubber, 3.4.1 (Prosody Predictor) and 3.4.3 (Content Predictor): "each layer models dependencies conditioned
    on the outputs of the previous layers",

    .. math:: h_1 = \mathrm{FFT}_1(z), \qquad h_q = \mathrm{FFT}_q(h_{q-1}) .
    """

    def __init__(self, width: int, books: int, settings: FftSettings) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FftBlock(width, settings) for _ in range(books))

    def forward(self, z: Tensor, inside: Tensor) -> Tensor:
        """``z`` ``[B, T, A]``, ``inside`` ``[B, T]``: representations ``[B, Q, T, A]``."""
        books = []
        for layer in self.layers:
            z = layer(z, inside)
            books.append(z)
        return torch.stack(books, dim=1)
