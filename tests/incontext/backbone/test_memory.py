"""Less memory, the same result: offload is exact, 8-bit storage is near, what needs a library says so."""

from __future__ import annotations

import importlib.util
from typing import Literal

import numpy as np
import pytest
import torch

from dubflow.errors import WrongUse
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.memory import MemorySettings, arrange
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.text import encode_text
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.backbone.video import decode_video, encode_video, video_tokens

FRAMES = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)


def _step(backbone: Backbone) -> tuple[torch.Tensor, np.ndarray]:
    text = encode_text(backbone, ["hello"])
    latents = encode_video(backbone, FRAMES)
    with torch.no_grad():
        video, _ = backbone.transformer(
            hidden_states=video_tokens(latents)[None].to(backbone.dtype),
            audio_hidden_states=torch.ones(1, 5, 8, dtype=backbone.dtype),
            encoder_hidden_states=text.video,
            audio_encoder_hidden_states=text.audio,
            timestep=torch.full((1, 8), 500.0),
            audio_timestep=torch.full((1, 5), 500.0),
            sigma=torch.full((1,), 500.0),
            video_coords=video_positions(backbone.geometry, (2, 2, 2), 25.0),
            audio_coords=audio_positions(backbone.geometry, 5),
            use_cross_timestep=backbone.cross_timestep,
            return_dict=False,
        )
    return video, decode_video(backbone, latents)


@pytest.mark.slow
@pytest.mark.parametrize("offload", ["none", "part", "block", "layer"])
def test_offload_changes_nothing(oldest: Backbone, offload: Literal["none", "part", "block", "layer"]) -> None:
    expected, shown = _step(oldest)
    arranged = arrange(tiny_backbone(), MemorySettings(offload=offload), "cpu")
    for _ in range(2):
        video, frames = _step(arranged)
        assert torch.equal(video, expected)
        assert np.array_equal(frames, shown)


def test_8_bit_storage_is_near_and_small(oldest: Backbone) -> None:
    expected, _ = _step(oldest)
    arranged = arrange(tiny_backbone(), MemorySettings(storage="fp8", tile_video=True))
    video, _ = _step(arranged)
    stored = {p.dtype for p in arranged.transformer.transformer_blocks.parameters()}
    assert torch.float8_e4m3fn in stored
    assert 0 < float((video - expected).abs().max()) < 0.2 * float(expected.std())


@pytest.mark.skipif(importlib.util.find_spec("torchao") is not None, reason="torchao is installed")
def test_int8_says_what_to_install() -> None:
    with pytest.raises(WrongUse) as caught:
        arrange(tiny_backbone(), MemorySettings(storage="int8"))
    assert caught.value.code == "incontext.missing_quantisation"
    assert "torchao" in caught.value.hint


def test_a_fingerprint_follows_the_weights() -> None:
    backbone = tiny_backbone()
    before = fingerprint(backbone.video_vae)
    assert before == fingerprint(tiny_backbone().video_vae)
    with torch.no_grad():
        backbone.video_vae.encoder.conv_in.conv.weight.mul_(1.001)
    assert fingerprint(backbone.video_vae) != before
    assert fingerprint(tiny_backbone(seed=1).video_vae) != before
