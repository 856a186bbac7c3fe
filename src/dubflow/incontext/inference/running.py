"""How an adapter is run: as it says itself, unless somebody asks for another preset and for the differences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dubflow.config import load_preset
from dubflow.errors import BadInput
from dubflow.incontext.adapter.files import Adapter
from dubflow.incontext.adapter.metadata import AdapterMetadata, UseSettings
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.inference.settings import SECTION, InferenceSettings

DEFAULT_PRESET = "paper"
_REFINER = "refiner"


def running_settings(metadata: AdapterMetadata, preset: str | None) -> InferenceSettings:
    """Settings under which the adapter of ``metadata`` is run.

    Without a ``preset`` they are those of the preset that the adapter names, changed to what it records: masks,
    positions, order and prompt. With one they are the preset's as it stands; compare them by :func:`use_of`.

    Raises:
        WrongUse: ``config.unknown_preset``.
    """
    settings = load_preset(preset or metadata.sampler_preset or DEFAULT_PRESET, SECTION, InferenceSettings)
    if preset is not None:
        return settings
    recorded: dict[str, Any] = {
        "order": metadata.reference_order,
        "audio_positions": metadata.audio_positions,
        "prompt_template": metadata.prompt_template,
    }
    changes = {name: value for name, value in recorded.items() if value is not None}
    if metadata.mask_scheme is not None:
        changes["masks"] = settings.masks.model_copy(update={"av": metadata.mask_scheme})
    return InferenceSettings.model_validate(
        settings.model_dump()
        | {name: value.model_dump() if hasattr(value, "model_dump") else value for name, value in changes.items()}
    )


def use_of(settings: InferenceSettings, backbone: Backbone) -> UseSettings:
    """What a run under ``settings`` is, as adapters record it."""
    return UseSettings(
        base_version=backbone.version,
        video_positions="same",
        audio_positions=settings.audio_positions,
        mask_scheme=settings.masks.av,
        reference_order=settings.order,
        prompt_template=settings.prompt_template,
        frame_rate=settings.frame_rate,
        sampler_preset=settings.sampler_preset,
    )


def add_refiner(backbone: Backbone, adapter: Adapter) -> None:
    """Lay a second adapter beside the transformer's weights, for :func:`refining` alone.

    The released code refines with the distilled LoRA on top of the dubbing one. The weights themselves stay as they
    are, so that the first stage of the next window is not changed by rounding.

    Raises:
        BadInput: ``incontext.adapter_misfit``.
    """
    _check_fit(backbone, adapter)
    weights = {
        f"{module}.lora_{side}.weight": value
        for module, pair in adapter.pairs.items()
        for side, value in (("A", pair.a), ("B", pair.b))
    }
    backbone.transformer.load_lora_adapter(weights, prefix=None, adapter_name=_REFINER)
    backbone.transformer.disable_lora()


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


@torch.no_grad()
def put_adapter(backbone: Backbone, adapter: Adapter, strength: float = 1.0) -> None:
    """Add an adapter to the transformer's weights, in place; a second one adds to the first.

    Raises:
        BadInput: ``incontext.adapter_misfit`` for layers that this base does not have, or of other sizes.
    """
    layers = _check_fit(backbone, adapter)
    for name, pair in adapter.pairs.items():
        weight = layers[name].weight
        change = strength * (pair.b.to(weight.device, torch.float32) @ pair.a.to(weight.device, torch.float32))
        weight.copy_((weight.to(torch.float32) + change).to(weight.dtype))


def _check_fit(backbone: Backbone, adapter: Adapter) -> dict[str, Any]:
    """The transformer's layers by name, once all that the adapter changes are there."""
    layers = dict(backbone.transformer.named_modules())
    for name, pair in adapter.pairs.items():
        layer = layers.get(name)
        shape = None if layer is None else tuple(layer.weight.shape)
        if layer is None or shape != (pair.b.shape[0], pair.a.shape[1]):
            raise BadInput(
                "incontext.adapter_misfit",
                f"The adapter changes {name} by {pair.b.shape[0]} x {pair.a.shape[1]}, it is {shape or 'not there'}.",
                "Take the base that the adapter was trained on.",
            )
    return layers
