"""A backbone: the parts of one LTX-2 and what they agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.backbone.settings import Version


@dataclass(frozen=True)
class Backbone:
    """The parts of one LTX-2, diffusers' own classes, in evaluation mode."""

    transformer: Any
    """``LTX2VideoTransformer3DModel``."""
    video_vae: Any
    """``AutoencoderKLLTX2Video``."""
    audio_vae: Any
    """``AutoencoderKLLTX2Audio``."""
    connectors: Any
    """``LTX2TextConnectors``."""
    vocoder: Any
    """``LTX2Vocoder`` or ``LTX2VocoderWithBWE``."""
    text_encoder: Any | None
    """A Gemma; None once text features are cached and it was dropped."""
    tokenizer: Any | None
    version: Version
    geometry: Geometry
    device: torch.device
    """Where inputs go and the transformer computes; offloaded parts come there when they are called."""
    dtype: torch.dtype
    """In which the transformer computes. Positions, timesteps and latents between steps stay float32."""
    text_tokens: int = 1024
    """Length to which prompts are padded."""
    world: str | None = None
    """``embedded`` for a base that was made here; bases from elsewhere say nothing."""

    @property
    def video_text_width(self) -> int:
        """Width of the connectors' video features."""
        config = self.connectors.config
        return int(config.video_connector_num_attention_heads * config.video_connector_attention_head_dim)

    @property
    def audio_text_width(self) -> int:
        """Width of the connectors' audio features; in 2.3 and 2.5 another than that of the video features."""
        config = self.connectors.config
        return int(config.audio_connector_num_attention_heads * config.audio_connector_attention_head_dim)

    @property
    def cross_timestep(self) -> bool:
        """What ``use_cross_timestep`` must be in the transformer's forward: from 2.3 on true."""
        return self.version != "2.0"

    @property
    def audio_output_rate(self) -> int:
        """Sample rate of the vocoder's sound, Hz."""
        return int(self.vocoder.config.output_sampling_rate)

    def modules(self) -> dict[str, nn.Module]:
        """The parts that hold weights, by the names of diffusers' folders."""
        found: dict[str, nn.Module] = {
            "transformer": self.transformer,
            "vae": self.video_vae,
            "audio_vae": self.audio_vae,
            "connectors": self.connectors,
            "vocoder": self.vocoder,
        }
        if self.text_encoder is not None:
            found["text_encoder"] = self.text_encoder
        return found


def geometry_of(video_vae: Any, audio_vae: Any) -> Geometry:
    """The geometry that two autoencoders state."""
    audio = audio_vae.config
    return Geometry(
        video_channels=int(video_vae.config.latent_channels),
        audio_latent_channels=int(audio.latent_channels),
        mel_bins=int(audio.mel_bins),
        spatial=int(video_vae.spatial_compression_ratio),
        temporal=int(video_vae.temporal_compression_ratio),
        sample_rate=int(audio.sample_rate),
        hop=int(audio.mel_hop_length),
        audio_temporal=int(audio_vae.temporal_compression_ratio),
    )
