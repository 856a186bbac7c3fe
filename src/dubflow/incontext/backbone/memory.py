"""Running a large base in less memory: offload, 8-bit storage, tiles, and doing without the text encoder.

What is moved: the transformer, the video autoencoder and the text encoder, which are nearly all of the weight.
Connectors, audio autoencoder and vocoder stay on the device.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from dubflow.config import Strict
from dubflow.errors import WrongUse
from dubflow.incontext.backbone.parts import Backbone


class MemorySettings(Strict):
    """How a base is held."""

    offload: Literal["none", "part", "block", "layer"] = Field(
        "none",
        description="What lies in main memory until it is used: nothing, whole parts, the transformer's blocks one by "
        "one, or single layers (slowest, least memory).",
    )
    storage: Literal["as_loaded", "fp8", "int8"] = Field(
        "as_loaded",
        description="The transformer's weights: as loaded; in float8, cast layer by layer when used; or in int8 by "
        "torchao.",
    )
    tile_video: bool = Field(False, description="Encode and decode video in overlapping tiles.")


def arrange(backbone: Backbone, settings: MemorySettings, device: torch.device | str | None = None) -> Backbone:
    """Put ``backbone`` on ``device`` in the way ``settings`` say. Changes its parts; use what is returned.

    Raises:
        WrongUse: ``incontext.missing_quantisation`` when the storage needs a library that is not installed.
    """
    target = torch.device(device) if device is not None else backbone.device
    if settings.storage == "int8":
        _int8(backbone.transformer)
    elif settings.storage == "fp8":
        # diffusers leaves norms and embeddings alone; only weights are stored in 8 bits, nothing is computed in them.
        backbone.transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=backbone.dtype)
    if settings.tile_video:
        backbone.video_vae.enable_tiling()
    moved = {"transformer", "vae", "text_encoder"} if settings.offload != "none" else set()
    for name, part in backbone.modules().items():
        if name not in moved:
            nn.Module.to(part, target)
        else:
            _offload(part, name, settings.offload, target)
    return replace(backbone, device=target)


def without_text_encoder(backbone: Backbone) -> Backbone:
    """The same backbone without its text encoder: only cached prompts can be encoded, and its memory is free."""
    return replace(backbone, text_encoder=None)


def _offload(part: Any, name: str, how: str, target: torch.device) -> None:
    from accelerate import cpu_offload_with_hook
    from diffusers.hooks import apply_group_offloading

    if how == "part":
        # The encoder is called without its language-model head, so the hook must sit where the call arrives.
        body = getattr(part, "model", part) if name == "text_encoder" else part
        cpu_offload_with_hook(body, target)
    elif how == "block" and name == "transformer":
        apply_group_offloading(part, target, offload_type="block_level", num_blocks_per_group=1)
    else:
        apply_group_offloading(part, target, offload_type="leaf_level")


def _int8(transformer: Any) -> None:
    if importlib.util.find_spec("torchao") is None:
        raise WrongUse(
            "incontext.missing_quantisation",
            "Weights in int8 need the Python package 'torchao', which is not installed.",
            "Install it with: pip install torchao; or use fp8, which needs nothing more.",
        )
    quantisation: Any = importlib.import_module("torchao.quantization")  # no dependency of ours
    quantisation.quantize_(transformer, quantisation.Int8WeightOnlyConfig())
