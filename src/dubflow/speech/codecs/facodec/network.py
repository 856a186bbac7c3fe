"""Encoder and decoder as the published checkpoints divide them: the quantisers live in the decoder file.

Source: Ju et al., "NaturalSpeech 3" (2024), section 3.2.
"""

from __future__ import annotations

from itertools import accumulate
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubflow.speech.codecs import Tokens
from dubflow.speech.codecs.facodec.activation import Activation
from dubflow.speech.codecs.facodec.blocks import Chain, decoder_block, encoder_block
from dubflow.speech.codecs.facodec.config import HOP, FacodecConfig
from dubflow.speech.codecs.facodec.quantizer import ResidualQuantizer
from dubflow.speech.codecs.facodec.timbre import TimbreEncoder
from dubflow.speech.codecs.facodec.weightnorm import convolution


class FacodecEncoder(nn.Module):
    """Waveform to latent frames. Key: ``block``."""

    def __init__(self, config: FacodecConfig) -> None:
        super().__init__()
        widths = [config.encoder_channels * 2**i for i in range(len(config.encoder_strides) + 1)]
        self.block = Chain(
            convolution(1, widths[0], 7),
            *(encoder_block(width, stride) for width, stride in zip(widths, config.encoder_strides, strict=False)),
            Activation(widths[-1]),
            convolution(widths[-1], config.latent_dim, 3),
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """``[B, 200 L]`` to ``[B, L, C]``."""
        result: Tensor = self.block(waveform[:, None]).transpose(1, 2)
        return result

    def halo(self) -> tuple[int, int]:
        """Frames before and after a frame whose samples it depends on."""
        first, last = self.block.sources(0, 0)
        return -(first // HOP), last // HOP


class FacodecDecoder(nn.Module):
    """Quantisers, speaker vector and waveform decoder.

    Keys: ``quantizer.{0 prosody, 1 content, 2 acoustic}``, ``timbre_encoder``, ``timbre_linear``, ``model``.
    """

    def __init__(self, config: FacodecConfig) -> None:
        super().__init__()
        dim = config.latent_dim
        self.quantizer = nn.ModuleList(
            [ResidualQuantizer(books, dim, config.codebook_dim) for books in Tokens.BOOKS.values()]
        )
        self.timbre_encoder = TimbreEncoder(config)
        self.timbre_linear = nn.Linear(dim, 2 * dim)
        strides = config.encoder_strides[::-1]
        widths = [config.decoder_channels // 2**i for i in range(len(strides) + 1)]
        self.model = Chain(
            convolution(dim, widths[0], 7),
            *(decoder_block(width, stride) for width, stride in zip(widths, strides, strict=False)),
            Activation(widths[-1]),
            convolution(widths[-1], 1, 7),
        )

    def quantize(self, latents: Tensor) -> Tensor:
        """Latents ``[B, L, C]`` to codes int64 ``[6, B, L]`` in the order prosody, content, acoustic.

        Prosody and content both see the latents; the acoustic books see what those two leave over.
        """
        prosody, content, acoustic = (cast(ResidualQuantizer, stack) for stack in self.quantizer)
        prosody_codes, p = prosody(latents)
        content_codes, c = content(latents)
        acoustic_codes, _ = acoustic(latents - (p + c))
        return torch.cat([prosody_codes, content_codes, acoustic_codes])

    def embed(self, codes: Tensor) -> Tensor:
        """Codes ``[6, B, L]`` to latents ``[B, L, C]``: the sum of the three stacks."""
        ends = list(accumulate(Tokens.BOOKS.values()))
        stacks = zip(self.quantizer, codes.tensor_split(ends[:-1]), strict=True)
        prosody, content, acoustic = (cast(ResidualQuantizer, stack).embed(own) for stack, own in stacks)
        return prosody + content + acoustic

    def speaker(self, latents: Tensor) -> Tensor:
        """Latents ``[B, L, C]`` of whole utterances, without padding, to speaker vectors ``[B, C]``."""
        result: Tensor = self.timbre_encoder(latents)
        return result

    def forward(self, latents: Tensor, speaker: Tensor) -> Tensor:
        """Quantised latents ``[B, L, C]`` in the voice ``[B, C]`` to a waveform ``[B, 200 L]`` in -1..1."""
        scale, shift = self.timbre_linear(speaker)[:, None].chunk(2, dim=-1)
        voiced = F.layer_norm(latents, latents.shape[-1:]) * scale + shift
        return torch.tanh(self.model(voiced.transpose(1, 2))).squeeze(1)

    def halo(self) -> tuple[int, int]:
        """Frames before and after a frame that its samples depend on."""
        first, last = self.model.sources(0, HOP - 1)
        return -first, last
