"""What making pairs costs: seconds by kind of work, and the operations that it takes, counted before any is done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dubflow.incontext.backbone.building import build_part
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.text import TextFeatures
from dubflow.incontext.forward import PAPER_MASKS, forward
from dubflow.incontext.masks import Layout
from dubflow.incontext.pairs.engine_settings import FPS
from dubflow.incontext.tokens import ContextTokens

ON_DEVICE = ("generate", "mask", "inpaint", "decode")
"""Work of the base; the rest runs on the processor whatever the device is."""


class Stopwatch:
    """Adds up wall seconds by kind of work; what a GPU was asked for counts until it is done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """Count what is done within as ``kind``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            self.seconds[kind] = self.seconds.get(kind, 0.0) + time.perf_counter() - started


def totals(seconds: Mapping[str, float]) -> dict[str, float]:
    """``seconds`` in all and ``device_seconds`` of them, which the base took."""
    return {
        "seconds": sum(seconds.values()),
        "device_seconds": sum(value for kind, value in seconds.items() if kind in ON_DEVICE),
    }


def pass_flops(backbone: Backbone, frames: int, height: int, width: int) -> int:
    """Floating-point operations of one pass of the transformer over a clip of this size, without references.

    Counted on the meta device, with one block and with two: nothing is computed, at any size.
    """
    stated = {name: value for name, value in dict(backbone.transformer.config).items() if not name.startswith("_")}
    blocks = int(stated["num_layers"])
    one, two = (_counted(backbone, stated | {"num_layers": count}, frames, height, width) for count in (1, 2))
    return one + (blocks - 1) * (two - one)


def _counted(backbone: Backbone, config: dict[str, object], frames: int, height: int, width: int) -> int:
    geometry, meta = backbone.geometry, torch.device("meta")
    net = nn.Module.to(build_part("transformer", config, meta), backbone.dtype)
    shape = geometry.latent_shape(frames, height, width)
    seen, heard = geometry.video_tokens(frames, height, width), geometry.audio_tokens(Fraction(frames, FPS))
    tokens = ContextTokens.of_targets(
        torch.empty(1, seen, geometry.video_channels),
        video_positions(geometry, shape, FPS),
        torch.empty(1, heard, geometry.audio_channels),
        audio_positions(geometry, heard),
    )
    layout = Layout.of(tokens, PAPER_MASKS)  # it looks at values, which shapes alone have not
    video, audio = (
        torch.empty(1, backbone.text_tokens, size, dtype=backbone.dtype, device=meta)
        for size in (backbone.video_text_width, backbone.audio_text_width)
    )
    text = TextFeatures(video, audio, torch.ones(1, backbone.text_tokens, dtype=torch.bool))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward(net, tokens.to(meta), text, layout=layout)
    return int(counter.get_total_flops())
