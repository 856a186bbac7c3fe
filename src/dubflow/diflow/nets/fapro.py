r"""The Face-to-Prosody Mapper (FaPro): what the face says about the voice's melody.

DiFlowDubber, 3.4.1 and B.2.2:

.. math:: \tilde z_p = \mathrm{FaPro}(\hat v_{face}) \in \mathbb R^{m \times L \times A}

Face features go through a convolution into the shared space (3.2), learnable upsampling, ConvNeXt V2 blocks, a layer
normalisation and the Prosody Predictor, one FFT block a prosody book. In the paper it has no loss of its own: gradients
come through the fusion in CCTA and through the denoiser. :class:`ProsodyHead` allows one, off by default.

Letters: B batch, F frames, L tokens, m prosody books, A width, D width of the denoiser, V codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dubflow.diflow.nets.fft import BookPredictor
from dubflow.diflow.nets.grid import inside_of
from dubflow.diflow.nets.positions import with_positions
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.temporal import ConvNextStack, Upsample, over_time, tokens_of


class FaceToProsody(nn.Module):
    """``[B, F, D_f]`` to the global prosody prior ``[B, m, L, A]``."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        width = settings.width
        self.max_length = settings.fft.max_length
        self.face = nn.Conv1d(settings.face_features, width, 3, padding=1)
        self.upsample = Upsample(width, settings.temporal)
        self.temporal = ConvNextStack(width, settings.temporal)
        self.norm = nn.LayerNorm(width)
        self.predictor = BookPredictor(width, settings.books.prosody, settings.fft)
        self.projection = nn.Linear(width, settings.denoiser.width)

    def forward(self, face: Tensor, frames: Tensor) -> Tensor:
        """``face`` ``[B, F, D_f]``, lengths ``frames`` ``[B]``: ``z~_p`` ``[B, m, L, A]``, zero beyond each item."""
        shown = inside_of(frames, face.shape[1]).unsqueeze(-1)
        x = self.upsample(over_time(self.face, face * shown), frames)
        inside = inside_of(tokens_of(frames), x.shape[1])
        x = with_positions(self.norm(self.temporal(x, inside)), self.max_length)
        prior: Tensor = self.predictor(x * inside.unsqueeze(-1), inside)
        return prior

    def widened(self, prior: Tensor, inside: Tensor) -> Tensor:
        """The prior at the denoiser's width, ``[B, m, L, D]``; ``inside`` ``[B, L]``.

        The paper calls both widths D; its own figures (256 and 768) need this line between them.
        """
        wide: Tensor = self.projection(prior)
        return wide * inside[:, None, :, None]


class ProsodyHead(nn.Module):
    """One line a book, from the prior ``[B, m, L, A]`` to logits of prosody codes ``[B, m, L, V]``; training only."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.books = nn.ModuleList(
            nn.Linear(settings.width, settings.books.codes) for _ in range(settings.books.prosody)
        )

    def forward(self, prior: Tensor) -> Tensor:
        """``prior`` ``[B, m, L, A]``."""
        return torch.stack([line(prior[:, book]) for book, line in enumerate(self.books)], dim=1)
