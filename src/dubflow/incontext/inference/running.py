"""How an adapter is run: as it says itself, unless somebody asks for another preset and for the differences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dubflow.config import load_preset
from dubflow.incontext.adapter.files import Adapter
from dubflow.incontext.adapter.fusing import fuse_live, with_loras
from dubflow.incontext.adapter.metadata import AdapterMetadata, UseSettings
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.inference.settings import SECTION, InferenceSettings

DEFAULT_PRESET = "paper"
_REFINER = "refiner"


def running_settings(metadata: AdapterMetadata, preset: str | None) -> InferenceSettings:
    """Settings under which the adapter of ``metadata`` is run.

    Without a ``preset`` they are those of the preset that the adapter names, changed to what it records: masks,
    positions, order and prompt. With one they are the preset's, in the adapter's order of tokens (which moves nothing
    in attention); compare them by :func:`use_of`.

    Raises:
        WrongUse: ``config.unknown_preset``.
    """
    settings = load_preset(preset or metadata.sampler_preset or DEFAULT_PRESET, SECTION, InferenceSettings)
    if preset is not None:
        return settings.model_copy(update={"order": metadata.reference_order or settings.order})
    recorded: dict[str, Any] = {
        "order": metadata.reference_order,
        "audio_positions": metadata.audio_positions,
        "prompt_template": metadata.prompt_template,
    }
    changes = {name: value for name, value in recorded.items() if value is not None}
    if metadata.mask_scheme is not None:
        changes["masks"] = settings.masks.model_dump() | {"av": metadata.mask_scheme}
    return InferenceSettings.model_validate(settings.model_dump() | changes)


def use_of(settings: InferenceSettings, backbone: Backbone) -> UseSettings:
    """What a run under ``settings`` is, as adapters record it."""
    return UseSettings(
        base_version=backbone.version,
        video_positions="same",
        audio_positions=settings.audio_positions,
        mask_scheme=settings.masks.av,
        reference_order=settings.order,
        sigma_sharing="shared",
        prompt_template=settings.prompt_template,
        frame_rate=settings.frame_rate,
        sampler_preset=settings.sampler_preset,
        # References are encoded at their targets' own size and rate, and no other way is built.
        reference_downscale_factor=1,
        reference_spatial_scale_factor=1,
        reference_temporal_scale_factor=1,
    )


@torch.no_grad()
def put_adapter(backbone: Backbone, adapter: Adapter) -> tuple[str, ...]:
    """Add an adapter to the transformer's weights, in place and for good; its layers that were left out.

    Raises:
        BadInput: ``incontext.adapter_does_not_fit``, ``incontext.version_mismatch``.
    """
    return fuse_live(backbone.transformer, [(adapter, 1.0)], backbone.version)


def add_refiner(backbone: Backbone, adapter: Adapter) -> tuple[str, ...]:
    """Lay a second adapter beside the transformer's weights, for :func:`refining` alone; its layers that were left out.

    The released code refines with the distilled LoRA on top of the dubbing one. The weights themselves stay as they
    are, so that the first stage of the next window is not changed by rounding.

    Raises:
        BadInput: as :func:`put_adapter`.
    """
    left_out = with_loras(backbone.transformer, {_REFINER: (adapter, 1.0)}, backbone.version)
    backbone.transformer.disable_lora()
    return left_out


@contextmanager
def refining(backbone: Backbone) -> Iterator[None]:
    """Within, the transformer wears what :func:`add_refiner` laid beside it, if anything."""
    transformer = backbone.transformer
    if _REFINER not in (getattr(transformer, "peft_config", None) or {}):
        yield
        return
    transformer.enable_lora()
    try:
        yield
    finally:
        transformer.disable_lora()
