"""What the parts of LTX-2 2.0, 2.3 and 2.5 are built from: diffusers' configurations.

Two defaults of diffusers' classes are traps: the transformer and the connectors say ``rope_type="interleaved"`` while
every published weight wants ``"split"``, and the video autoencoder computes ratios of 64 and 16 from its blocks while
it compresses by 32 and 8. Both are always written out here.
"""

from __future__ import annotations

from typing import Any

from dubflow.incontext.backbone.settings import BackboneSettings

SPATIAL = 32
TEMPORAL = 8
SAMPLE_RATE = 16000
HOP = 160

PARTS = ("transformer", "vae", "audio_vae", "connectors", "vocoder")
"""The trained parts, by the names of their folders."""

Config = dict[str, Any]


def part_configs(settings: BackboneSettings) -> dict[str, Config]:
    """diffusers' configuration of every part in :data:`PARTS`."""
    return {
        "transformer": transformer_config(settings),
        "vae": video_vae_config(settings),
        "audio_vae": audio_vae_config(settings),
        "connectors": connectors_config(settings),
        "vocoder": vocoder_config(settings),
    }


def transformer_config(settings: BackboneSettings) -> Config:
    """The two-stream transformer.

    2.3 adds a gate a head, modulates the text cross-attention and drops the caption projection; 2.5 also drops the bias
    of the video feed-forward and marks keyframes. (A variant of 2.5 without the prompt's time-dependent modulation is
    loaded too, but not built.)
    """
    sizes = settings.transformer
    later = settings.version != "2.0"
    newest = settings.version == "2.5"
    return {
        "in_channels": settings.video_vae.latent_channels,
        "out_channels": settings.video_vae.latent_channels,
        "num_attention_heads": sizes.heads,
        "attention_head_dim": sizes.head_dim,
        "cross_attention_dim": sizes.width,
        "audio_in_channels": settings.audio_vae.token_width,
        "audio_out_channels": settings.audio_vae.token_width,
        "audio_num_attention_heads": sizes.heads,
        "audio_attention_head_dim": sizes.audio_head_dim,
        "audio_cross_attention_dim": sizes.audio_width,
        "num_layers": sizes.layers,
        "caption_channels": settings.text.width,
        "rope_type": "split",
        "rope_double_precision": sizes.double_precision,
        "vae_scale_factors": [TEMPORAL, SPATIAL, SPATIAL],
        "gated_attn": later,
        "cross_attn_mod": later,
        "audio_gated_attn": later,
        "audio_cross_attn_mod": later,
        "use_prompt_embeddings": not later,
        "perturbed_attn": later,
        "use_prompt_adaln_single": True,
        "ff_bias": not newest,
        "use_keyframes_abs_pos_embedding": newest,
    }


def video_vae_config(settings: BackboneSettings) -> Config:
    """The video autoencoder: 2.0 decodes in three steps that double the channels, 2.3 and 2.5 in four."""
    sizes = settings.video_vae
    base = sizes.base_channels
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    encoder_depth: tuple[int, ...]
    decoder_depth: tuple[int, ...]
    factors: tuple[int, ...]
    upsampling: tuple[str, ...]
    if settings.version == "2.0":
        encoder, decoder = (1, 2, 4, 8), (1, 2, 4)
        encoder_depth, decoder_depth = (4, 6, 6, 2, 2), (5, 5, 5, 5)
        upsampling, factors, residual = ("spatiotemporal",) * 3, (2, 2, 2), True
        padding = "reflect"
    else:
        encoder, decoder = (1, 2, 4, 4), (1, 2, 2, 4)
        encoder_depth, decoder_depth = (4, 6, 4, 2, 2), (4, 6, 4, 2, 2)
        upsampling, factors, residual = ("spatiotemporal", "spatiotemporal", "temporal", "spatial"), (2, 2, 1, 2), False
        padding = "zeros"
    if sizes.depth is not None:
        encoder_depth = (sizes.depth,) * len(encoder_depth)
        decoder_depth = (sizes.depth,) * len(decoder_depth)
    steps = len(decoder)
    return {
        "latent_channels": sizes.latent_channels,
        "block_out_channels": [base * level for level in encoder],
        "decoder_block_out_channels": [(sizes.decoder_channels or base) * level for level in decoder],
        "layers_per_block": list(encoder_depth),
        "decoder_layers_per_block": list(decoder_depth),
        "spatio_temporal_scaling": [True] * 4,
        "decoder_spatio_temporal_scaling": [True] * steps,
        "decoder_inject_noise": [False] * (steps + 1),
        "downsample_type": ["spatial", "temporal", "spatiotemporal", "spatiotemporal"],
        "upsample_type": list(upsampling),
        "upsample_residual": [residual] * steps,
        "upsample_factor": list(factors),
        "encoder_causal": True,
        "decoder_causal": False,
        "encoder_spatial_padding_mode": "zeros",
        "decoder_spatial_padding_mode": padding,
        "spatial_compression_ratio": SPATIAL,
        "temporal_compression_ratio": TEMPORAL,
    }


def audio_vae_config(settings: BackboneSettings) -> Config:
    """The audio autoencoder, the same in every version."""
    sizes = settings.audio_vae
    return {
        "base_channels": sizes.base_channels,
        "ch_mult": list(sizes.multipliers),
        "num_res_blocks": sizes.depth,
        "latent_channels": sizes.latent_channels,
        "mel_bins": sizes.mel_bins,
        "sample_rate": SAMPLE_RATE,
        "mel_hop_length": HOP,
    }


def connectors_config(settings: BackboneSettings) -> Config:
    """The connectors: in 2.0 one projection for both streams, from 2.3 on one a stream, straight to its width."""
    text, sizes = settings.text, settings.transformer
    later = settings.version != "2.0"
    width, audio_width = (sizes.width, sizes.audio_width) if later else (text.width, text.width)
    heads = text.connector_heads or (32 if later else 30)
    layers = text.connector_layers or (8 if later else 2)
    return {
        "caption_channels": text.width,
        "text_proj_in_factor": text.layers + 1,
        "video_connector_num_attention_heads": heads,
        "video_connector_attention_head_dim": width // heads,
        "video_connector_num_layers": layers,
        "video_connector_num_learnable_registers": text.registers,
        "video_gated_attn": later,
        "audio_connector_num_attention_heads": heads,
        "audio_connector_attention_head_dim": audio_width // heads,
        "audio_connector_num_layers": layers,
        "audio_connector_num_learnable_registers": text.registers,
        "audio_gated_attn": later,
        "rope_type": "split",
        "rope_double_precision": sizes.double_precision,
        "per_modality_projections": later,
        "video_hidden_dim": sizes.width,
        "audio_hidden_dim": sizes.audio_width,
        "proj_bias": later,
    }


def vocoder_config(settings: BackboneSettings) -> Config:
    """The vocoder: 24 kHz in 2.0; 16 kHz with bandwidth extension to 48 kHz in 2.3 and 2.5."""
    sizes, bins = settings.vocoder, settings.audio_vae.mel_bins
    residual: Config = {
        "resnet_kernel_sizes": list(sizes.kernels),
        "resnet_dilations": [[1, 3, 5] for _ in sizes.kernels],
    }
    if settings.version == "2.0":
        return {"in_channels": 2 * bins, "hidden_channels": sizes.channels or 1024, **residual}
    return {
        "in_channels": 2 * bins,
        "hidden_channels": sizes.channels or 1536,
        **residual,
        "bwe_in_channels": 2 * bins,
        "bwe_hidden_channels": sizes.extension_channels,
        **{f"bwe_{name}": value for name, value in residual.items()},
        "num_mel_channels": bins,
    }
