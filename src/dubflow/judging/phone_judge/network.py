"""The network of the phone recogniser: a spectrogram in, phones and a blank each 25 ms out.

A stem of two convolutions halves the frame rate; residual blocks follow, each a depthwise convolution over time and two
linear layers at every frame (ConvNeXt's order: Liu et al., 2022). Read with connectionist temporal classification
(Graves et al., 2006): class 0 is the blank, class k the k-th symbol of the model.

Letters: B batch, T frames of 12.5 ms, U = ceil(T / 2) frames of 25 ms, D width, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dubflow.judging.phone_judge.facts import PhoneNetworkSettings
from dubflow.speech.mel import MEL_BINS

BLANK = 0
STRIDE = 2


class PhoneNetwork(nn.Module):
    """Logarithms of the probabilities of ``classes`` (blank first) at every frame of 25 ms."""

    def __init__(self, settings: PhoneNetworkSettings, classes: int) -> None:
        super().__init__()
        width = settings.width
        self.stem_in = nn.Conv1d(MEL_BINS, width, 5, padding=2)
        self.stem_out = nn.Conv1d(width, width, 3, stride=STRIDE, padding=1)
        self.blocks = nn.ModuleList(_Block(settings) for _ in range(settings.blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, spectrograms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, U, C]`` of spectrograms ``[B, 80, T]`` with ``lengths`` ``[B]``, and U of each."""
        hidden, shorter = self.hidden(spectrograms, lengths)
        return functional.log_softmax(self.head(hidden), dim=-1), shorter

    def hidden(self, spectrograms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the head reads, ``[B, U, D]``, and U of each; what lies behind an item's end never reaches it."""
        seen = _within(lengths, spectrograms.shape[-1])[:, None]
        x = functional.gelu(self.stem_in(spectrograms * seen)) * seen
        shorter = (lengths + STRIDE - 1) // STRIDE
        x = functional.gelu(self.stem_out(x)).transpose(1, 2)
        kept = _within(shorter, x.shape[1])[:, :, None]
        for block in self.blocks:
            x = block(x * kept)
        return self.norm(x), shorter


class _Block(nn.Module):
    def __init__(self, settings: PhoneNetworkSettings) -> None:
        super().__init__()
        width, kernel = settings.width, settings.kernel
        self.over_time = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, settings.expansion * width)
        self.narrow = nn.Linear(settings.expansion * width, width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.over_time(x.transpose(1, 2)).transpose(1, 2))
        changed: Tensor = self.dropout(self.narrow(functional.gelu(self.widen(y))))
        return x + changed


def best_path(log_probabilities: Tensor) -> list[int]:
    """Classes of the likeliest path through ``[U, C]``: repetitions once, blanks left out (Graves et al., 2006)."""
    classes = torch.unique_consecutive(log_probabilities.argmax(dim=-1)).tolist()
    return [one for one in classes if one != BLANK]


def _within(lengths: Tensor, longest: int) -> Tensor:
    """1 before each item's end, 0 behind it: ``[B, longest]``."""
    return (torch.arange(longest, device=lengths.device)[None] < lengths[:, None]).float()
