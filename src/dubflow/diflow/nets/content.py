"""The deterministic model of content: from regulated text to content tokens (DiFlowDubber, 3.3 and B.2.1).

Letters: B batch, L tokens, n content books, A width of text, D width of the denoiser, V codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dubflow.diflow.nets.fft import BookPredictor, FftStack
from dubflow.diflow.nets.settings import NetSettings


@dataclass(frozen=True)
class Content:
    """What the content model makes of a batch.

    Attributes:
        features: ``z`` before the Content Predictor, ``[B, L, A]``; what Eq. 5 compares (z_t, z_s).
        hidden: the latent content that conditions the denoiser, ``[B, n, L, D]`` (h~_c, in stage 2 h~_p2c).
        logits: ``[B, n, L, V]``.
    """

    features: Tensor
    hidden: Tensor
    logits: Tensor

    @property
    def tokens(self) -> Tensor:
        """The likeliest codes, integers ``[B, n, L]``."""
        return self.logits.argmax(dim=-1)


class ContentProjection(nn.Module):
    """The final hidden state: ``tanh(W h + b)``, ``[..., A]`` to ``[..., D]``.

    The "output dimension of 768" of B.2.1; the hyperbolic tangent is that of the authors' first-stage code.
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.line = nn.Linear(settings.width, settings.denoiser.width)

    def forward(self, hidden: Tensor) -> Tensor:
        """``hidden`` ``[..., A]``."""
        return torch.tanh(self.line(hidden))


class ContentHead(nn.Module):
    """Eq. 6's MLP: representations ``[B, n, L, A]`` to logits ``[B, n, L, V]``, one MLP a book.

    Codes of different books have nothing in common, so neither do their MLPs.
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        width, inner = settings.width, settings.text.head_width or settings.width
        self.books = nn.ModuleList(
            nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, settings.books.codes))
            for _ in range(settings.books.content)
        )

    def forward(self, representations: Tensor) -> Tensor:
        """``representations`` ``[B, n, L, A]``."""
        return torch.stack([mlp(representations[:, book]) for book, mlp in enumerate(self.books)], dim=1)


class ContentModel(nn.Module):
    """FFT blocks, Content Predictor, and the two branches Projection and Content Head.

    Stage 1 feeds it text stretched by durations, stage 2 the fusion of prosody and synchronised text (3.4.3).
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.bridge = nn.Linear(settings.width, settings.width) if settings.text.bridge else None
        self.refiner = FftStack(settings.width, settings.text.refiner_blocks, settings.fft)
        self.predictor = BookPredictor(settings.width, settings.books.content, settings.fft)
        self.projection = ContentProjection(settings)
        self.head = ContentHead(settings)

    def forward(self, stretched: Tensor, inside: Tensor) -> Content:
        """``stretched`` ``[B, L, A]``, ``inside`` ``[B, L]``."""
        features = self.refiner(stretched if self.bridge is None else self.bridge(stretched), inside)
        representations = self.predictor(features, inside)
        hidden = self.projection(representations) * inside[:, None, :, None]
        return Content(features, hidden, self.head(representations))
