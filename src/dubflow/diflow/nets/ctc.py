"""Connectionist Temporal Classification on h_sync: the phonemes must be readable from it in order.

DiFlowDubber, 3.5 (the auxiliary loss of Eq. 7). Blank is an id of its own behind the inventory; an item whose phonemes
cannot fit into its tokens (each needs one, and one more between two equal neighbours) is left out and counted.
Each item's loss is divided by its phonemes, then averaged. Letters: B batch, L tokens, N phonemes, A width, P symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.text import Text


@dataclass(frozen=True)
class CtcLoss:
    """The loss, a scalar, and how many items were left out."""

    value: Tensor
    skipped: int


class CtcHead(nn.Module):
    """A line from h_sync ``[B, L, A]`` to log-probabilities ``[B, L, P + 1]``; the last column is blank."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.line = nn.Linear(settings.width, settings.text.symbols + 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """``hidden`` ``[B, L, A]``."""
        logits: Tensor = self.line(hidden)
        return logits.float().log_softmax(dim=-1)


def ctc_loss(log_probabilities: Tensor, lengths: Tensor, text: Text) -> CtcLoss:
    """CTC of the phonemes, over ``log_probabilities`` ``[B, L, P + 1]`` with ``lengths`` ``[B]``."""
    repeats = ((text.phonemes[:, 1:] == text.phonemes[:, :-1]) & text.inside[:, 1:]).sum(dim=1)
    fits = text.lengths + repeats <= lengths
    losses = functional.ctc_loss(
        log_probabilities.transpose(0, 1),
        text.phonemes,
        lengths,
        text.lengths,
        blank=log_probabilities.shape[-1] - 1,
        reduction="none",
        zero_infinity=True,
    )
    kept = losses / text.lengths * fits
    return CtcLoss(kept.sum() / fits.sum().clamp(min=1), int((~fits).sum()))
