"""How many tokens each phoneme lasts (stage 1).

DiFlowDubber, B.2.1: FastSpeech 2's predictor, trained by the mean squared error on a logarithmic scale (L_d of Eq. 9).
Letters: B batch, N phonemes, A width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dubflow.diflow.nets.settings import NetSettings
from dubflow.errors import BadInput
from dubflow.speech.durations import TOKEN_RATE, spans_to_durations


class DurationPredictor(nn.Module):
    """Twice convolution, ReLU, normalisation and dropout, then a line: ``log(d + 1)`` ``[B, N]``, zero for padding."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        channels, kernel = settings.text.duration_filter, settings.text.duration_kernel
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, channels, kernel, padding="same") for width in (settings.width, channels)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.dropout = nn.Dropout(settings.text.duration_dropout)
        self.line = nn.Linear(channels, 1)

    def forward(self, phonemes: Tensor, inside: Tensor) -> Tensor:
        """``phonemes`` ``[B, N, A]``, ``inside`` ``[B, N]``."""
        shown, x = inside.unsqueeze(-1), phonemes
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = torch.relu(convolution((x * shown).transpose(1, 2)).transpose(1, 2))
            x = self.dropout(norm(x))
        predicted: Tensor = self.line(x).squeeze(-1) * inside
        return predicted


def duration_loss(log_durations: Tensor, durations: Tensor, inside: Tensor) -> Tensor:
    r"""L_d of Eq. 9: the mean over phonemes of :math:`(\log(d + 1) - \hat y)^2`; a scalar.

    Args:
        log_durations: the prediction ``[B, N]``.
        durations: true tokens a phoneme, integers ``[B, N]``.
        inside: ``[B, N]``.
    """
    error = (log_durations.float() - torch.log1p(durations.float())) ** 2
    return (error * inside).sum() / inside.sum().clamp(min=1)


def whole_durations(log_durations: Tensor, inside: Tensor, totals: Sequence[int] | None = None) -> Tensor:
    """Predictions as whole tokens, integers ``[B, N]``, 0 for padding.

    Cumulative boundaries are rounded, not single durations, so nothing drifts: see ``dubflow.speech.durations``.

    Args:
        log_durations: ``log(d + 1)`` ``[B, N]``.
        inside: ``[B, N]``.
        totals: tokens that each item must fill exactly, by a common factor; by default what is predicted, at least 1.

    Raises:
        BadInput: ``diflow.no_duration`` when a total is given and every phoneme is predicted to last no time, or a
            prediction is not finite.
    """
    whole = torch.zeros(log_durations.shape, dtype=torch.int64)
    expected = torch.expm1(log_durations.detach().double()).clamp(min=0).cpu().numpy()
    for item, count in enumerate(inside.sum(dim=1).tolist()):
        edges = np.concatenate([[0.0], np.cumsum(expected[item, :count])])
        if not np.isfinite(edges[-1]) or (totals is not None and edges[-1] == 0):
            raise BadInput("diflow.no_duration", f"Item {item} has no finite duration to divide among its phonemes.")
        total = max(1, int(edges[-1] + 0.5)) if totals is None else totals[item]
        scale = total / edges[-1] if totals is not None else 1.0
        whole[item, :count] = torch.from_numpy(spans_to_durations(edges * scale / TOKEN_RATE, total, TOKEN_RATE))
    return whole.to(log_durations.device)
