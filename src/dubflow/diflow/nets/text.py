"""The phoneme encoder: phonemes P to embeddings p (DiFlowDubber, 3.2 and B.2.1).

Letters: B batch, N phonemes, A width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from dubflow.diflow.nets.fft import FftStack
from dubflow.diflow.nets.grid import check_lengths, inside_of
from dubflow.diflow.nets.settings import NetSettings
from dubflow.speech.inventory import PAD_ID

STRESSES = 3


@dataclass(frozen=True)
class Text:
    """Phonemes of a batch.

    Attributes:
        phonemes: inventory ids, integers ``[B, N]``, pad beyond each length.
        stress: 0 none, 1 primary, 2 secondary, integers ``[B, N]``.
        lengths: integers ``[B]``, at least 1.
    """

    phonemes: Tensor
    stress: Tensor
    lengths: Tensor

    @property
    def inside(self) -> Tensor:
        """``[B, N]``."""
        return inside_of(self.lengths, self.phonemes.shape[1])


class PhonemeEncoder(nn.Module):
    """Embedding of phoneme and stress, then FFT blocks: ``p`` ``[B, N, A]``, zero beyond each length.

    The paper's phonemes come from a converter whose symbols carry stress; in our inventory stress stands beside the
    symbol, so it has a table of its own and the two are added.
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.symbols = nn.Embedding(settings.text.symbols, settings.width, padding_idx=PAD_ID)
        self.stresses = nn.Embedding(STRESSES, settings.width)
        self.blocks = FftStack(settings.width, settings.text.encoder_blocks, settings.fft)

    def forward(self, text: Text) -> Tensor:
        """Raises ``diflow.bad_lengths`` when lengths and phonemes do not belong together."""
        check_lengths(text.lengths, text.phonemes)
        encoded: Tensor = self.blocks(self.symbols(text.phonemes) + self.stresses(text.stress), text.inside)
        return encoded
