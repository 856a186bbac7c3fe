"""The smallest LTX-2 that has every part: two blocks, random weights, seconds on a CPU. For tests."""

from __future__ import annotations

from dataclasses import replace

from dubflow.incontext.backbone.building import build_backbone
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.settings import BackboneSettings, Version

TINY = "tiny"
"""What people call :func:`tiny_backbone` where a base is asked for."""


def tiny_settings(version: Version = "2.0") -> BackboneSettings:
    """Sizes of :func:`tiny_backbone`."""
    return BackboneSettings.model_validate(
        {
            "version": version,
            "transformer": {
                "layers": 2,
                "heads": 2,
                "head_dim": 16,
                "audio_head_dim": 8,
                "double_precision": False,
            },
            "video_vae": {"latent_channels": 8, "base_channels": 8, "depth": 1},
            "audio_vae": {
                "latent_channels": 2,
                "mel_bins": 16,
                "base_channels": 8,
                "multipliers": (1, 1, 1),
                "depth": 1,
            },
            "vocoder": {"channels": 64, "extension_channels": 32, "kernels": (3,)},
            "text": {
                "width": 32,
                "layers": 2,
                "heads": 2,
                "key_heads": 1,
                "head_dim": 16,
                "feed_forward": 64,
                "tokens": 256,
                "connector_layers": 1,
                "connector_heads": 2,
                "registers": 16,
            },
        }
    )


def tiny_backbone(version: Version = "2.0", seed: int = 0) -> Backbone:
    """All parts with random weights on the CPU in float32; the same weights for the same version and seed."""
    return replace(build_backbone(tiny_settings(version), seed=seed), world="embedded")
