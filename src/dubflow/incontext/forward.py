"""One pass of the transformer over tokens with roles: the velocities of the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dubflow.incontext.attention import KeptReferences, installed
from dubflow.incontext.backbone.text import TextFeatures
from dubflow.incontext.masks import Layout, MaskScheme
from dubflow.incontext.tokens import ContextTokens

PAPER_MASKS = MaskScheme()


@dataclass(frozen=True, eq=False)
class Velocities:
    """Of the targets alone, in their order: ``video`` ``[B, n, C]``, ``audio`` ``[B, m, C]``."""

    video: Tensor
    audio: Tensor


def uses_cross_timestep(transformer: Any) -> bool:
    """Whether the attention between modalities is modulated by the other modality's noise level (2.3 on)."""
    return bool(transformer.config.cross_attn_mod or transformer.config.audio_cross_attn_mod)


def forward(
    transformer: Any,
    tokens: ContextTokens,
    text: TextFeatures,
    masks: MaskScheme = PAPER_MASKS,
    *,
    layout: Layout | None = None,
    references: KeptReferences | None = None,
) -> Velocities:
    """Velocity ``eps - x0`` (see :mod:`dubflow.incontext.flow.path`) of the target tokens.

    Args:
        transformer: diffusers' LTX-2 transformer, with adapters or without; its attention processors become ours.
        layout: of these tokens under ``masks``, where it is known already. references: kept keys and values, for tokens
            that are targets alone.
    """
    state = installed(transformer)
    with state.using(layout or Layout.of(tokens, masks), references):
        video, audio = transformer(**inputs(transformer, tokens, text), return_dict=False)
    return Velocities(video[:, tokens.video.target], audio[:, tokens.audio.target])


def inputs(transformer: Any, tokens: ContextTokens, text: TextFeatures) -> dict[str, Any]:
    """What the transformer is called with: latents and text in its type, positions and noise levels in float32."""
    dtype = transformer.dtype
    scale = float(transformer.config.timestep_scale_multiplier)
    # Behind learned registers every place counts, and without a mask attention is faster.
    valid = None if bool(text.mask.all()) else text.mask.to(dtype)
    return {
        "hidden_states": tokens.video.latents.to(dtype),
        "audio_hidden_states": tokens.audio.latents.to(dtype),
        "encoder_hidden_states": text.video.to(dtype),
        "audio_encoder_hidden_states": text.audio.to(dtype),
        "timestep": tokens.video.sigmas * scale,
        "audio_timestep": tokens.audio.sigmas * scale,
        "sigma": tokens.video.level.to(torch.float32) * scale,
        "audio_sigma": tokens.audio.level.to(torch.float32) * scale,
        "encoder_attention_mask": valid,
        "audio_encoder_attention_mask": valid,
        "video_coords": tokens.video.positions,
        "audio_coords": tokens.audio.positions,
        "use_cross_timestep": uses_cross_timestep(transformer),
    }
