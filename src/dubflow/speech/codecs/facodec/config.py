"""Size of a FACodec network: the published one by default, a tiny one for tests."""

from __future__ import annotations

from math import prod

from pydantic import Field, model_validator

from dubflow.config import Strict

SAMPLE_RATE = 16_000
HOP = 200
"""Samples a token time: 80 token times a second at 16 kHz. Fixed, because token files rely on it."""


class FacodecConfig(Strict):
    """Size and behaviour of the networks; the defaults are those of the published checkpoints.

    Source: Ju et al., "NaturalSpeech 3" (2024), section 3.2 and appendix, and the shapes of the published files.
    """

    encoder_channels: int = Field(default=32, ge=1, description="Channels of the encoder's first convolution.")
    decoder_channels: int = Field(default=1024, ge=1, description="Channels of the decoder's first convolution.")
    latent_dim: int = Field(default=256, ge=2, description="Width of the latent frames and of the speaker vector.")
    encoder_strides: tuple[int, ...] = Field(default=(2, 4, 5, 5), description="Down-sampling of the encoder's blocks.")
    codebook_dim: int = Field(default=8, ge=1, description="Width of a codebook row.")
    timbre_layers: int = Field(default=4, ge=1, description="Transformer layers of the timbre encoder.")
    timbre_heads: int = Field(default=4, ge=1, description="Attention heads of a timbre layer.")
    timbre_filter: int = Field(default=1024, ge=1, description="Hidden width of a timbre layer's feed-forward part.")
    timbre_kernel: int = Field(default=5, ge=1, description="Kernel of a timbre layer's feed-forward convolution; odd.")
    positions: int = Field(
        default=5000, ge=1, description="Rows of the stored table of positions; only row 0 is ever used."
    )
    speaker_seconds: float = Field(
        default=60.0,
        gt=0,
        description="The speaker vector is taken from the first so many seconds, which bounds memory.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> FacodecConfig:
        if prod(self.encoder_strides) != HOP or min(self.encoder_strides) < 2:
            raise ValueError(f"encoder_strides must be at least 2 each and multiply to {HOP}")
        if self.decoder_channels % 2 ** len(self.encoder_strides):
            raise ValueError("decoder_channels must halve once a stride")
        if self.latent_dim % 2 or self.latent_dim % self.timbre_heads:
            raise ValueError("latent_dim must be even and divisible by timbre_heads")
        if self.timbre_kernel % 2 == 0:
            raise ValueError("timbre_kernel must be odd")
        return self

    @property
    def speaker_frames(self) -> int:
        """Token times that the speaker vector sees at most."""
        return max(1, int(self.speaker_seconds * SAMPLE_RATE / HOP))

    @classmethod
    def tiny(cls) -> FacodecConfig:
        """The same architecture with 0.1 % of the parameters, for tests."""
        return cls(
            encoder_channels=2,
            decoder_channels=32,
            latent_dim=16,
            timbre_layers=2,
            timbre_heads=2,
            timbre_filter=24,
            positions=7,
        )
