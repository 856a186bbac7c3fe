"""Sizes of an LTX-2 that is built from settings: the defaults are the published ones, a preset makes it small.

What differs between the versions 2.0, 2.3 and 2.5 is structure, not size, and stands in
:mod:`dubflow.incontext.backbone.configs`. The section of the presets is ``incontext.backbone``.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dubflow.config import Strict

Version = Literal["2.0", "2.3", "2.5"]
SECTION = "incontext.backbone"


class TransformerSizes(Strict):
    """The two-stream diffusion transformer."""

    layers: int = Field(48, ge=1, description="Blocks.")
    heads: int = Field(32, ge=1, description="Attention heads, in both streams.")
    head_dim: int = Field(128, ge=4, description="Width of a video head; the stream is heads x head_dim wide.")
    audio_head_dim: int = Field(64, ge=2, description="Width of an audio head.")
    double_precision: bool = Field(True, description="Rotary frequencies in float64, as the published weights want.")

    @property
    def width(self) -> int:
        """Width of the video stream."""
        return self.heads * self.head_dim

    @property
    def audio_width(self) -> int:
        """Width of the audio stream."""
        return self.heads * self.audio_head_dim


class VideoVaeSizes(Strict):
    """The video autoencoder, 32 x 32 pixels and 8 frames to one latent."""

    latent_channels: int = Field(128, ge=1, description="Channels of a video latent: the width of a video token.")
    base_channels: int = Field(256, ge=8, multiple_of=8, description="Channels of the first level.")
    decoder_channels: int | None = Field(
        None, ge=8, multiple_of=8, description="The same of the decoder; by default those of the encoder."
    )
    depth: int | None = Field(None, ge=1, description="ResNets in every block; by default the published numbers.")


class AudioVaeSizes(Strict):
    """The audio autoencoder on log-mel spectrograms, 4 frames and 4 bins to one latent."""

    latent_channels: int = Field(8, ge=1, description="Channels of an audio latent.")
    mel_bins: int = Field(64, ge=4, multiple_of=4, description="Bins of the mel spectrogram.")
    base_channels: int = Field(128, ge=1, description="Channels of the first level; latent_channels x mel_bins / 4.")
    multipliers: tuple[int, int, int] = Field((1, 2, 4), description="Channels of the three levels over the first.")
    depth: int = Field(2, ge=1, description="ResNets a level.")

    @model_validator(mode="after")
    def _statistics_fit(self) -> Self:
        # diffusers sizes the statistics of a token by base_channels; with another number loading fails far from here.
        if self.base_channels != self.token_width:
            raise ValueError(f"base_channels must be latent_channels x mel_bins / 4 = {self.token_width}")
        return self

    @property
    def token_width(self) -> int:
        """Numbers an audio token has."""
        return self.latent_channels * self.mel_bins // 4


class VocoderSizes(Strict):
    """The vocoder; from 2.3 on with bandwidth extension from 16 to 48 kHz."""

    channels: int | None = Field(None, ge=64, multiple_of=64, description="Channels of the first layer.")
    extension_channels: int = Field(512, ge=32, multiple_of=32, description="The same of the bandwidth extension.")
    kernels: tuple[int, ...] = Field((3, 7, 11), description="Kernel sizes of the residual blocks.")


class TextSizes(Strict):
    """The text encoder and the connectors."""

    width: int = Field(3840, ge=2, description="Width of the encoder's hidden states.")
    layers: int = Field(48, ge=1, description="Layers of the encoder; the embedding is one state more.")
    heads: int = Field(16, ge=1, description="Attention heads of the encoder.")
    key_heads: int = Field(8, ge=1, description="Key and value heads of the encoder.")
    head_dim: int = Field(256, ge=2, description="Width of a head of the encoder.")
    feed_forward: int = Field(15360, ge=1, description="Inner width of the encoder's feed-forward layers.")
    tokens: int = Field(1024, ge=1, description="Length to which prompts are padded, on the left.")
    connector_layers: int | None = Field(None, ge=1, description="Blocks of a connector; by default the published.")
    connector_heads: int | None = Field(None, ge=1, description="Heads of a connector; by default the published.")
    registers: int = Field(128, ge=1, description="Learned registers that stand for padding; divides tokens.")

    @model_validator(mode="after")
    def _registers_fit(self) -> Self:
        if self.tokens % self.registers:
            raise ValueError(f"registers ({self.registers}) must divide tokens ({self.tokens})")
        return self


class BackboneSettings(Strict):
    """Everything an LTX-2 is built from. The defaults are the published sizes."""

    version: Version = Field("2.0", description="Which LTX-2: 2.0, 2.3 or 2.5.")
    transformer: TransformerSizes = TransformerSizes.model_validate({})
    video_vae: VideoVaeSizes = VideoVaeSizes.model_validate({})
    audio_vae: AudioVaeSizes = AudioVaeSizes.model_validate({})
    vocoder: VocoderSizes = VocoderSizes.model_validate({})
    text: TextSizes = TextSizes.model_validate({})


def published(version: Version) -> BackboneSettings:
    """The published sizes of ``version``."""
    return BackboneSettings.model_validate({"version": version})
