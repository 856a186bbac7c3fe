"""Small tokens, texts and transformers for tests of the in-context model."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import torch
from torch import Tensor

from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.settings import Version
from dubflow.incontext.backbone.text import TextFeatures
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.tokens import ContextTokens, Order

SHAPE = (2, 2, 2)
VIDEO, AUDIO = 8, 9


@cache
def backbone(version: Version = "2.0") -> Backbone:
    """A tiny base; shared by tests, so leave it as it is."""
    return tiny_backbone(version)


def transformer(version: Version = "2.0", dtype: torch.dtype = torch.float32) -> Any:
    """A transformer of one's own, with gates and tables large enough that everything it attends to shows."""
    net = deepcopy(backbone(version).transformer)
    torch.manual_seed(5)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.to(dtype)


def without_self_attention(net: Any) -> Any:
    """The way from reference to target within a modality is cut: what is left goes from one modality to the other."""
    for block in net.transformer_blocks:
        for module in (block.attn1, block.audio_attn1):
            torch.nn.init.zeros_(module.to_out[0].weight)
            torch.nn.init.zeros_(module.to_out[0].bias)
    return net


def tokens(
    version: Version = "2.0",
    *,
    batch: int = 2,
    seed: int = 0,
    order: Order = "ref_first",
    references: bool = True,
    shape: tuple[int, int, int] = SHAPE,
    audio: int = AUDIO,
    held: Tensor | None = None,
) -> ContextTokens:
    """Random tokens at noise levels 0.7, 0.4 ..."""
    geometry = backbone(version).geometry
    source = torch.Generator().manual_seed(seed)
    count = shape[0] * shape[1] * shape[2]
    drawn = [
        torch.randn(batch, n, c, generator=source)
        for n, c in ((count, geometry.video_channels), (audio, geometry.audio_channels)) * 2
    ]
    made = ContextTokens.of_targets(
        drawn[0], video_positions(geometry, shape, 25), drawn[1], audio_positions(geometry, audio),
        sigma=torch.tensor([0.7, 0.4, 0.9])[:batch], held=held,
    )  # fmt: skip
    return made.append_reference(drawn[2], drawn[3], order=order) if references else made


def text(version: Version = "2.0", *, batch: int = 2, seed: int = 1) -> TextFeatures:
    """Random text features."""
    base = backbone(version)
    source = torch.Generator().manual_seed(seed)
    video, audio = (
        torch.randn(batch, 6, width, generator=source) for width in (base.video_text_width, base.audio_text_width)
    )
    return TextFeatures(video, audio, torch.ones(batch, 6, dtype=torch.bool))
