"""Residual stacks of factorised codebooks.

Source: Yu et al., "Vector-quantized Image Modeling with Improved VQGAN" (2022), section 3.2 (look-up in a low dimension
by direction), and Zeghidour et al., "SoundStream" (2021), Algorithm 1 (residual stack).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubflow.speech.codecs import BOOK_SIZE
from dubflow.speech.codecs.facodec.weightnorm import linear


class Codebook(nn.Module):
    """One book of 1024 rows. Keys: ``in_proj``, ``out_proj`` (normed), ``_codebook.weight [1024, d]``."""

    def __init__(self, latent_dim: int, codebook_dim: int) -> None:
        super().__init__()
        self.in_proj = linear(latent_dim, codebook_dim)
        self.out_proj = linear(codebook_dim, latent_dim)
        self._codebook = nn.Embedding(BOOK_SIZE, codebook_dim)

    def nearest(self, x: Tensor) -> Tensor:
        """Codes int64 ``[B, T]`` of latents ``[B, T, C]``: the row of the nearest direction, lengths ignored."""
        directions = F.normalize(self.in_proj(x), dim=-1)
        rows = F.normalize(self._codebook.weight, dim=-1)
        # |row|^2 is one except for a row of zeros, which has no direction and must not win by its product of 0.
        distances = rows.square().sum(-1) - 2 * directions @ rows.T
        return distances.argmin(-1)

    def embed(self, codes: Tensor) -> Tensor:
        """Latents ``[B, T, C]`` of codes ``[B, T]``: the row as it stands (its length counts here), projected."""
        result: Tensor = self.out_proj(self._codebook(codes))
        return result


class ResidualQuantizer(nn.Module):
    """Books of which each codes what the ones before left over. Key: ``layers``."""

    def __init__(self, books: int, latent_dim: int, codebook_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Codebook(latent_dim, codebook_dim) for _ in range(books)])

    @property
    def books(self) -> list[Codebook]:
        """The books, first to last."""
        return [cast(Codebook, layer) for layer in self.layers]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents ``[B, T, C]`` to codes int64 ``[books, B, T]`` and their sum ``[B, T, C]``."""
        codes, total = [], torch.zeros_like(x)
        for book in self.books:
            found = book.nearest(x - total)
            total = total + book.embed(found)
            codes.append(found)
        return torch.stack(codes), total

    def embed(self, codes: Tensor) -> Tensor:
        """Latents ``[B, T, C]`` of codes ``[books, B, T]``: the sum over the books."""
        return torch.stack([book.embed(own) for book, own in zip(self.books, codes, strict=True)]).sum(0)
